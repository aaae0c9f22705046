//! Against real listeners: nothing blocked is ever touched, everything else arrives as it was sent.

mod canary;
mod guarded;
mod sending;
