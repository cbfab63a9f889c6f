//! Be a WeCom smart printer: list, download, print and report jobs
