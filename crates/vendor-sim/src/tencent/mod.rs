//! The Tencent e-sign simulator.
