//! The server over real sockets: access, responses, streams.

mod access;
mod debug_flags;
mod fixture;
mod floods;
mod idle;
mod logs;
mod pages;
mod reviews;
mod streams;
