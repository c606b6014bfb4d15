//! bootstrap
fn main() {}
