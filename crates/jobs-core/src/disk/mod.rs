//! Results on disk: complete and under their final name, or not at all.

mod draft;
mod target;

pub use self::draft::Draft;
pub use self::target::Target;
