//! What a cluster and its nodes must look like, decided from settings and facts.

pub mod discovery;
pub mod jws;
pub mod objects;
pub mod serving_certificate;
pub mod token;
