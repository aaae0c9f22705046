//! Calls as processes make them: over real TCP and within a process, through the guard, from end to end.

mod bench;
mod carry;
mod client;
mod direct;
mod guard;
mod slot;
mod stage;
mod stop;
mod trace;
