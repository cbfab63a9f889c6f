//! Results on disk: complete and under their final name, or not at all.

mod advice;
mod output_path;
mod staged_file;

pub use self::advice::advice;
pub use self::output_path::OutputPath;
pub use self::staged_file::StagedFile;
