//! What other tools write, read; what we write, read back; what an attacker writes, refused.

#[path = "formats/archive.rs"]
mod archive;
#[path = "formats/hostile.rs"]
mod hostile;
#[path = "formats/reading.rs"]
mod reading;
#[path = "formats/round.rs"]
mod round;
#[path = "formats/tarred.rs"]
mod tarred;
