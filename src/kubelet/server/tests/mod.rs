//! The server over real sockets: who is let in, what is answered, how bytes are carried.

mod access;
mod debug_flags;
mod fixture;
mod floods;
mod idle;
mod logs;
mod pages;
mod reviews;
mod streams;
