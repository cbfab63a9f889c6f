//! Vocabulary and waiting for remote jobs that take minutes and cost money
