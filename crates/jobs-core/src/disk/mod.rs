//! Results on disk: complete and under their final name, or not at all.

mod advice;
mod draft;
mod target;

pub use self::advice::advice;
pub use self::draft::Draft;
pub use self::target::Target;
