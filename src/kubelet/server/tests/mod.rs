//! The server over real sockets: who is let in, what is answered, how bytes are carried.

mod access;
mod fixture;
mod logs;
mod pages;
mod streams;
