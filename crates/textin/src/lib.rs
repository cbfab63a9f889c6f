//! TextIn xParse: parse documents to Markdown and typed elements
