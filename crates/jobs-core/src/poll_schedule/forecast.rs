//! When a job is worth polling, given how long its like take; pure. Times are seconds.

use std::time::Duration;

/// What is expected of jobs: which part of them has ended by which age.
#[derive(Debug, Clone)]
pub(super) struct CompletionForecast {
    /// Age and the part that has ended by it, rising in both; in between it rises evenly.
    steps: Vec<(f64, f64)>,
}

impl CompletionForecast {
    /// From the end of each piece of time and the part of the jobs that end in it.
    pub(super) fn new(parts: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut steps = vec![(0.0, 0.0)];
        let mut ended = 0.0;
        for (until, part) in parts {
            ended += part;
            steps.push((until, ended));
        }
        for (_, part) in &mut steps {
            *part /= ended;
        }
        Self { steps }
    }

    /// The part that has ended by this age.
    pub(super) fn ended_by(&self, age: f64) -> f64 {
        self.piece(age).map_or(1.0, |(part, _)| part)
    }

    /// How likely a job that is unfinished at this age is to end, per second.
    pub(super) fn hazard(&self, age: f64) -> f64 {
        let Some((ended, mut rest)) = self.piece(age) else {
            return 0.0;
        };
        rest.next().map_or(0.0, |(until, by_then)| {
            // In the last piece nothing is left at the end, which would make the hazard endless.
            let left = (1.0 - ended).max(f64::EPSILON);
            (by_then - ended) / (until - age).max(f64::EPSILON) / left
        })
    }

    /// The pause after which a poll of a job of this age is worth its `price`.
    ///
    /// A job that ends meanwhile is late until the poll. The poll is due once the lateness that has to be expected since
    /// the last one, ∫(F(s)-F(age))ds / (1-F(age)), is worth a request. Where the hazard h is even that is the known
    /// √(2c/h); but that rule looks at the hazard now, and in the silence between two humps it sleeps through the
    /// beginning of the second one, while this one sees it coming. Beside the best plan that dynamic programming finds,
    /// it cost up to three per cent more for jobs of one hump that we measured, and up to thirty for those of two.
    pub(super) fn next_delay(&self, age: f64, price: f64, longest: f64) -> f64 {
        let Some((ended, rest)) = self.piece(age) else {
            return longest;
        };
        let goal = price * (1.0 - ended);
        let (mut at, mut since, mut late) = (age, 0.0, 0.0);
        for (until, by_then) in rest {
            let (span, rise) = (until - at, by_then - ended - since);
            let whole = late + (since + rise / 2.0) * span;
            if whole >= goal {
                // late + since·x + slope·x²/2 = goal, in the form that a small slope does not upset.
                let (missing, slope) = (goal - late, rise / span);
                let root = (since * since + 2.0 * slope * missing).max(0.0).sqrt();
                let further = 2.0 * missing / (since + root);
                return (at - age + further.min(span)).min(longest);
            }
            (at, since, late) = (until, since + rise, whole);
            if at - age >= longest {
                break;
            }
        }
        longest
    }

    /// How many polls a job takes on average: the first at age `first`, then as `pause` says by the number of polls and
    /// the age.
    pub(super) fn expected_polls(&self, first: f64, mut pause: impl FnMut(u32, f64) -> f64) -> f64 {
        // Enough to tell two schedules apart, and little enough to be asked often.
        const MOST: u32 = 200;
        const REST: f64 = 0.001;
        let (mut age, mut polls) = (first, 1.0);
        for number in 1..MOST {
            let unfinished = 1.0 - self.ended_by(age);
            if unfinished < REST {
                break;
            }
            polls += unfinished;
            age += pause(number, age).max(0.001);
        }
        polls
    }

    /// The lowest price of a poll at which jobs take no more than `polls` of them on average.
    ///
    /// Where no price brings that about, as with a floor that leaves no choice, it is the lowest one with about the fewest:
    /// a higher one would only make them later.
    pub(super) fn poll_cost_for(&self, polls: f64, first: f64, shortest: f64, longest: f64) -> f64 {
        const NEARLY: f64 = 1.01;
        let taken = |price| {
            self.expected_polls(first, |_, age| {
                self.next_delay(age, price, longest).max(shortest)
            })
        };
        let (mut low, mut high) = (0.01_f64, 60.0_f64);
        let polls = polls.max(NEARLY * taken(high));
        for _ in 0..10 {
            let price = (low * high).sqrt();
            if taken(price) > polls {
                low = price;
            } else {
                high = price;
            }
        }
        high
    }

    /// The part that has ended by this age, and the ends of the pieces from there on; `None` after the last one.
    fn piece(&self, age: f64) -> Option<(f64, impl Iterator<Item = (f64, f64)>)> {
        let next = self.steps.partition_point(|(until, _)| *until <= age);
        let (from, before) = *self.steps.get(next.checked_sub(1)?)?;
        let (until, after) = *self.steps.get(next)?;
        let ended = before + (after - before) * (age - from) / (until - from);
        Some((ended, self.steps.iter().skip(next).copied()))
    }
}

/// Seconds as a duration; what none can hold is the longest.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs that end with this hazard, up to an age that none of them reaches.
    fn even(hazard: f64) -> CompletionForecast {
        let ended = |n: u32| 1.0 - (-hazard * f64::from(n) / 10.0).exp();
        CompletionForecast::new((1..4000).map(|n| (f64::from(n) / 10.0, ended(n) - ended(n - 1))))
    }

    #[test]
    fn an_even_hazard_gives_the_known_pause() {
        let forecast = even(0.05);
        for age in [0.0, 10.0, 40.0] {
            assert!((forecast.hazard(age) - 0.05).abs() < 0.001);
            // √(2c/h) for a price that is small beside the duration.
            let pause = forecast.next_delay(age, 0.01, 60.0);
            assert!((pause - 0.632).abs() < 0.02, "{pause} at {age}");
        }
    }

    #[test]
    fn in_the_silence_between_two_humps_it_sees_the_second_one_coming() {
        let forecast = CompletionForecast::new([
            (2.0, 0.0),
            (4.0, 0.7),
            (110.0, 0.0),
            (130.0, 0.3),
            (140.0, 0.0),
        ]);
        for age in [5.0, 50.0, 100.0] {
            let at = age + forecast.next_delay(age, 0.5, 600.0);
            assert!((113.0..116.0).contains(&at), "{at} from {age}");
        }
        assert!((forecast.next_delay(5.0, 0.5, 60.0) - 60.0).abs() < 1e-9);
    }

    #[test]
    fn after_everything_known_it_polls_as_seldom_as_it_may() {
        let forecast = even(1.0);
        assert!((forecast.next_delay(1e6, 0.5, 60.0) - 60.0).abs() < 1e-9);
        assert!(forecast.hazard(1e6) <= 0.0);
    }

    #[test]
    fn the_price_is_the_one_that_buys_so_many_polls() {
        let forecast = even(0.05);
        for polls in [3.0, 5.0, 8.0] {
            let price = forecast.poll_cost_for(polls, 1.0, 0.0, 60.0);
            let taken =
                forecast.expected_polls(1.0, |_, age| forecast.next_delay(age, price, 60.0));
            assert!(
                taken <= polls && taken > polls * 0.95,
                "{taken} for {polls}"
            );
        }
    }
    #[test]
    fn where_the_min_interval_leaves_no_choice_nobody_is_made_to_wait() {
        let forecast = CompletionForecast::new([(4.0, 0.0), (5.0, 0.99), (400.0, 0.01)]);
        let price = forecast.poll_cost_for(1.5, 3.0, 10.0, 60.0);
        assert!(forecast.next_delay(3.0, price, 60.0) <= 10.0, "{price}");
    }
}
