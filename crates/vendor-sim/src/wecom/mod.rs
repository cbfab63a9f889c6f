//! The WeCom printer simulator.
