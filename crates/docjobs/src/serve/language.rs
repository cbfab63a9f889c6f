//! The words of the page, in English and Chinese, and how a person's language is found.

use crate::clean::count;

/// What stands on the page, in one language.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) lang: &'static str,
    pub(super) other_lang: &'static str,
    pub(super) other_language: &'static str,
    pub(super) skip: &'static str,
    pub(super) views: &'static str,
    pub(super) jobs: &'static str,
    pub(super) in_doubt: &'static str,
    pub(super) money: &'static str,
    pub(super) rates: &'static str,
    pub(super) hooks: &'static str,
    pub(super) workers: &'static str,
    pub(super) log_in: &'static str,
    pub(super) log_out: &'static str,
    pub(super) token: &'static str,
    pub(super) wrong_token: &'static str,
    pub(super) read_only: &'static str,
    pub(super) no_worker: &'static str,
    pub(super) filter: &'static str,
    pub(super) stage: &'static str,
    pub(super) vendor: &'static str,
    pub(super) input: &'static str,
    pub(super) error: &'static str,
    pub(super) since: &'static str,
    pub(super) until: &'static str,
    pub(super) apply: &'static str,
    pub(super) clear: &'static str,
    pub(super) all: &'static str,
    pub(super) account: &'static str,
    pub(super) no_jobs: &'static str,
    pub(super) charged: &'static str,
    pub(super) created: &'static str,
    pub(super) older: &'static str,
    pub(super) bulk: &'static str,
    pub(super) bulk_matches: &'static str,
    pub(super) bulk_none: &'static str,
    pub(super) bulk_done: &'static str,
    pub(super) poll: &'static str,
    pub(super) fetch: &'static str,
    pub(super) adopt: &'static str,
    pub(super) abandon: &'static str,
    pub(super) actions: &'static str,
    pub(super) cancel: &'static str,
    pub(super) back: &'static str,
    pub(super) done: &'static str,
    pub(super) vendor_said: &'static str,
    pub(super) result: &'static str,
    pub(super) history: &'static str,
    pub(super) remote_id: &'static str,
    pub(super) ticket: &'static str,
    pub(super) output: &'static str,
    pub(super) id: &'static str,
    pub(super) polls: &'static str,
    pub(super) last_poll: &'static str,
    pub(super) vendor_status: &'static str,
    pub(super) submitted: &'static str,
    pub(super) accepted: &'static str,
    pub(super) next_step: &'static str,
    pub(super) attempts: &'static str,
    pub(super) format: &'static str,
    pub(super) blocked_until: &'static str,
    pub(super) parked: &'static str,
    pub(super) in_doubt_means: &'static str,
    pub(super) none_in_doubt: &'static str,
    pub(super) candidates: &'static str,
    pub(super) no_candidates: &'static str,
    pub(super) cannot_search: &'static str,
    pub(super) candidate_fits: &'static str,
    pub(super) adopt_means: &'static str,
    pub(super) abandon_means: &'static str,
    pub(super) price: &'static str,
    pub(super) price_unknown: &'static str,
    pub(super) adopted: &'static str,
    pub(super) abandoned_done: &'static str,
    pub(super) poll_done: &'static str,
    pub(super) spared: &'static str,
    pub(super) no_money: &'static str,
    pub(super) day: &'static str,
    pub(super) budgets: &'static str,
    pub(super) no_budgets: &'static str,
    pub(super) limit: &'static str,
    pub(super) spent: &'static str,
    pub(super) reserved: &'static str,
    pub(super) resets_at: &'static str,
    pub(super) changed: &'static str,
    pub(super) per: &'static str,
    pub(super) per_day: &'static str,
    pub(super) per_month: &'static str,
    pub(super) per_total: &'static str,
    pub(super) set_budget: &'static str,
    pub(super) clear_budget: &'static str,
    pub(super) by_day: &'static str,
    pub(super) earlier: &'static str,
    pub(super) no_rates: &'static str,
    pub(super) waiting: &'static str,
    pub(super) none_waiting: &'static str,
    pub(super) polling: &'static str,
    pub(super) breaker: &'static str,
    pub(super) breaker_open: &'static str,
    pub(super) breaker_closed: &'static str,
    pub(super) lateness: &'static str,
    pub(super) hooks_mean: &'static str,
    pub(super) no_hooks: &'static str,
    pub(super) verdict: &'static str,
    pub(super) at: &'static str,
    pub(super) body: &'static str,
    pub(super) worker: &'static str,
    pub(super) last_seen: &'static str,
    pub(super) jobs_held: &'static str,
    units: &'static [(&'static str, &'static str)],
    stages: &'static [(&'static str, &'static str)],
    verdicts: &'static [(&'static str, &'static str)],
}

static ENGLISH: Words = Words {
    lang: "en",
    other_lang: "zh-CN",
    other_language: "中文",
    skip: "Skip to content",
    views: "Views",
    jobs: "Jobs",
    in_doubt: "In doubt",
    money: "Money",
    rates: "Rates",
    hooks: "Hooks",
    workers: "Workers",
    log_in: "Log in",
    log_out: "Log out",
    token: "Token",
    wrong_token: "The token is wrong.",
    read_only: "This server changes nothing (--read-only, or a token that may only read).",
    no_worker: "No worker is alive; jobs wait until one runs:",
    filter: "Filter",
    stage: "Stage",
    vendor: "Vendor",
    input: "Input",
    error: "Error",
    since: "Since",
    until: "Until",
    apply: "Apply",
    clear: "Clear",
    all: "All",
    account: "Account",
    no_jobs: "No job fits.",
    charged: "Charged",
    created: "Created",
    older: "Older",
    bulk: "All jobs of this filter",
    bulk_matches: "Unsettled jobs that fit:",
    bulk_none: "No unsettled job fits this filter.",
    bulk_done: "Jobs changed:",
    poll: "Poll now",
    fetch: "Fetch again",
    adopt: "Adopt",
    abandon: "Abandon",
    actions: "Actions",
    cancel: "Cancel",
    back: "Back",
    done: "Done.",
    vendor_said: "What the vendor said",
    result: "Download the result",
    history: "History",
    remote_id: "Vendor's id",
    ticket: "Ticket",
    output: "Output",
    id: "Id",
    polls: "Polls",
    last_poll: "Last poll",
    vendor_status: "Vendor's status",
    submitted: "Submitted",
    accepted: "Accepted",
    next_step: "Next step",
    attempts: "Submits begun",
    format: "Format",
    blocked_until: "Blocked until",
    parked: "Needs attention",
    in_doubt_means: "The answer to a paid submit was lost: it may have been charged. Nothing is submitted again until somebody decides.",
    none_in_doubt: "No job is in doubt.",
    candidates: "Candidates at the vendor",
    no_candidates: "The vendor lists no job that fits.",
    cannot_search: "This vendor cannot be searched. If its console shows the job, enter its id.",
    candidate_fits: "It fits by what the vendor lists: name, size and time of the submit.",
    adopt_means: "This job is taken to be that one at the vendor, and its result is waited for. Nothing is bought.",
    abandon_means: "Nobody waits for this job any longer. What the vendor charged for it stays charged, and the same input can be bought anew.",
    price: "Price of a new one:",
    price_unknown: "Price of a new one: as the vendor's list says.",
    adopted: "The job is adopted.",
    abandoned_done: "The job is abandoned.",
    poll_done: "The job is polled as soon as the vendor's floor allows.",
    spared: "spared by attaching",
    no_money: "Nothing was charged yet.",
    day: "Day",
    budgets: "Budgets",
    no_budgets: "No budget is set; spending has no limit of ours.",
    limit: "Limit",
    spent: "Spent",
    reserved: "Reserved",
    resets_at: "Resets",
    changed: "Last change",
    per: "Per",
    per_day: "day",
    per_month: "month",
    per_total: "total",
    set_budget: "Set budget",
    clear_budget: "Clear budget",
    by_day: "by day",
    earlier: "earlier",
    no_rates: "No request was counted lately.",
    waiting: "Waiting",
    none_waiting: "No job waits for its submit.",
    polling: "Polls of the worker in this process",
    breaker: "Circuit breaker",
    breaker_open: "open: the vendor does not answer well, polls rest",
    breaker_closed: "closed",
    lateness: "Polls later than due (median · 95 %)",
    hooks_mean: "A hook only brings the next poll forward; it is never believed.",
    no_hooks: "No hook fits.",
    verdict: "Verdict",
    at: "At",
    body: "Body",
    worker: "Worker",
    last_seen: "Last seen",
    jobs_held: "Jobs held",
    units: &[],
    stages: &[
        ("intended", "intended"),
        ("submitting", "submitting"),
        ("accepted", "accepted"),
        ("available", "available"),
        ("downloading", "downloading"),
        ("completed", "completed"),
        ("in_doubt", "in doubt"),
        ("rejected", "rejected"),
        ("failed", "failed"),
        ("gone", "gone"),
        ("abandoned", "abandoned"),
    ],
    verdicts: &[
        ("forged", "forged"),
        ("duplicate", "duplicate"),
        ("unknown_job", "unknown job"),
        ("early", "early"),
        ("verified", "verified"),
        ("unsigned", "unsigned"),
    ],
};

static CHINESE: Words = Words {
    lang: "zh-CN",
    other_lang: "en",
    other_language: "English",
    skip: "跳到正文",
    views: "视图",
    jobs: "任务",
    in_doubt: "结果不明",
    money: "费用",
    rates: "速率",
    hooks: "回调",
    workers: "工作进程",
    log_in: "登录",
    log_out: "退出",
    token: "令牌",
    wrong_token: "令牌不正确。",
    read_only: "本服务为只读（--read-only，或令牌只读）。",
    no_worker: "没有正在运行的工作进程；任务会一直等待，请运行：",
    filter: "筛选",
    stage: "阶段",
    vendor: "厂商",
    input: "输入",
    error: "错误",
    since: "起始",
    until: "截止",
    apply: "应用",
    clear: "清除",
    all: "全部",
    account: "账号",
    no_jobs: "没有符合条件的任务。",
    charged: "已扣费",
    created: "创建时间",
    older: "更早",
    bulk: "对筛选结果批量操作",
    bulk_matches: "符合条件的未结任务：",
    bulk_none: "没有符合条件的未结任务。",
    bulk_done: "已处理任务：",
    poll: "立即查询",
    fetch: "重新获取结果",
    adopt: "认领",
    abandon: "放弃",
    actions: "操作",
    cancel: "取消",
    back: "返回",
    done: "已完成。",
    vendor_said: "厂商的原话",
    result: "下载结果",
    history: "历史",
    remote_id: "厂商任务号",
    ticket: "凭据",
    output: "输出",
    id: "编号",
    polls: "查询次数",
    last_poll: "最近查询",
    vendor_status: "厂商状态",
    submitted: "提交时间",
    accepted: "受理时间",
    next_step: "下一步",
    attempts: "提交次数",
    format: "格式",
    blocked_until: "预算受限至",
    parked: "需要处理",
    in_doubt_means: "付费提交的应答丢失：可能已经扣费。在有人决定之前，不会再次提交。",
    none_in_doubt: "没有结果不明的任务。",
    candidates: "厂商处的候选任务",
    no_candidates: "厂商处没有符合的任务。",
    cannot_search: "该厂商无法查询。如果其控制台中有此任务，请填写任务号。",
    candidate_fits: "与厂商列表中的名称、大小和提交时间相符。",
    adopt_means: "本任务将对应厂商处的该任务，并等待其结果。不会再次扣费。",
    abandon_means: "不再等待此任务。厂商已扣的费用不会退回，同一输入可以重新购买。",
    price: "重新购买的价格：",
    price_unknown: "重新购买的价格：见厂商价目表。",
    adopted: "已认领。",
    abandoned_done: "已放弃。",
    poll_done: "将在厂商允许的最早时间查询。",
    spared: "因重复提交被合并而节省",
    no_money: "尚无扣费。",
    day: "日期",
    budgets: "预算",
    no_budgets: "未设置预算；本软件不限制支出。",
    limit: "限额",
    spent: "已用",
    reserved: "已预留",
    resets_at: "重置时间",
    changed: "最近修改",
    per: "周期",
    per_day: "天",
    per_month: "月",
    per_total: "总计",
    set_budget: "设置预算",
    clear_budget: "清除预算",
    by_day: "按天",
    earlier: "更早",
    no_rates: "近期没有请求计数。",
    waiting: "等待中",
    none_waiting: "没有等待提交的任务。",
    polling: "本进程的轮询",
    breaker: "熔断器",
    breaker_open: "打开：厂商响应异常，轮询暂停",
    breaker_closed: "关闭",
    lateness: "轮询比计划晚（中位数 · 95 %）",
    hooks_mean: "回调只会让下一次查询提前，其内容不被采信。",
    no_hooks: "没有符合条件的回调。",
    verdict: "判定",
    at: "时间",
    body: "内容",
    worker: "工作进程",
    last_seen: "最近活动",
    jobs_held: "持有任务",
    units: &[
        ("page", "页"),
        ("project", "个项目"),
        ("credit", "点"),
        ("conversion", "次转换"),
    ],
    stages: &[
        ("intended", "待提交"),
        ("submitting", "提交中"),
        ("accepted", "已受理"),
        ("available", "可获取"),
        ("downloading", "下载中"),
        ("completed", "已完成"),
        ("in_doubt", "结果不明"),
        ("rejected", "被拒绝"),
        ("failed", "失败"),
        ("gone", "已失效"),
        ("abandoned", "已放弃"),
    ],
    verdicts: &[
        ("forged", "伪造"),
        ("duplicate", "重复"),
        ("unknown_job", "未知任务"),
        ("early", "提前到达"),
        ("verified", "已验证"),
        ("unsigned", "未签名"),
    ],
};

impl Words {
    /// The words of the language that a person switched to, else of the one that their browser prefers.
    pub(super) fn of(chosen: Option<&str>, accept_language: Option<&str>) -> &'static Self {
        match chosen {
            Some("zh") => return &CHINESE,
            Some("en") => return &ENGLISH,
            _ => {}
        }
        let mut best = (0.0, &ENGLISH);
        for item in accept_language.unwrap_or_default().split(',') {
            let mut parts = item.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            let weight: f32 = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
            let words = match tag.split('-').next() {
                Some("zh") => &CHINESE,
                Some("en") => &ENGLISH,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, words);
            }
        }
        best.1
    }

    /// What the language switch leads to.
    pub(super) fn other_code(&self) -> &'static str {
        if self.lang == "en" { "zh" } else { "en" }
    }

    /// What was done by the form that led to an address with this query.
    pub(super) fn done_word(&self, query: Option<&str>) -> Option<&'static str> {
        let done = query?
            .split('&')
            .find_map(|part| part.strip_prefix("done="))?;
        match done {
            "adopt" => Some(self.adopted),
            "abandon" => Some(self.abandoned_done),
            "poll" => Some(self.poll_done),
            "bulk" => Some(self.bulk_done),
            _ => Some(self.done),
        }
    }

    /// `2 pages` and `2 页`.
    pub(super) fn amount(&self, number: i64, unit: &str) -> String {
        match self.units.iter().find(|(known, _)| *known == unit) {
            Some((_, name)) => format!("{number} {name}"),
            None => count(number, unit),
        }
    }

    /// A stage as people read it.
    pub(super) fn stage_name<'a>(&self, stage: &'a str) -> &'a str {
        name(self.stages, stage)
    }

    /// A verdict as people read it.
    pub(super) fn verdict_name<'a>(&self, verdict: &'a str) -> &'a str {
        name(self.verdicts, verdict)
    }
}

fn name<'a>(names: &[(&'static str, &'static str)], word: &'a str) -> &'a str {
    let known = names.iter().find(|(known, _)| *known == word);
    known.map_or(word, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_decides_until_a_person_does() {
        for (chosen, accept, lang) in [
            (None, None, "en"),
            (None, Some("zh-CN,zh;q=0.9,en;q=0.8"), "zh-CN"),
            (None, Some("en-US,en;q=0.9,zh;q=0.8"), "en"),
            (None, Some("fr,zh;q=0.5"), "zh-CN"),
            (None, Some("zh;q=0"), "en"),
            (Some("en"), Some("zh"), "en"),
            (Some("zh"), None, "zh-CN"),
            (Some("xx"), Some("zh-TW"), "zh-CN"),
        ] {
            assert_eq!(
                Words::of(chosen, accept).lang,
                lang,
                "{chosen:?} {accept:?}"
            );
        }
    }

    #[test]
    fn every_stage_has_a_name_in_both_languages() {
        for stage in jobs_ledger::Stage::ALL {
            for words in [&ENGLISH, &CHINESE] {
                let is_known = words.stages.iter().any(|(word, _)| *word == stage.as_str());
                assert!(is_known, "{stage}");
            }
        }
    }
}
