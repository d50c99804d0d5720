//! Clients that people have, over two hops.

mod readme;
mod returns;
mod script;
mod servers;
mod stay;
mod tree;
