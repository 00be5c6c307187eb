//! Wrong and hostile input over the public door. Each test is named after its row in the list of such input, and sees
//! the answer, the process alive and no larger, and honest newcomers unharmed.

mod flood;
mod frames;
mod half_open;
mod handshakes;
mod leaks;
mod naming;
mod sends;
mod strangers;
mod tokens;
