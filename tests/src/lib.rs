//! Cross-crate properties; everything of interest is in the test targets.
