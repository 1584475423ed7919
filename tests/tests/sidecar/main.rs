//! The sidecar as a user starts it: `live serve` on a real broker, asked by curl and by bare sockets.
//!
//! | module | what it holds |
//! |---|---|
//! | [`stage`] | a sidecar, and how it is asked |
//! | [`routes`] | every route, both protocols, both transports |
//! | [`errors`] | every error that the document names |
//! | [`doors`] | who may come in, and from where |
//! | [`life`] | how it ends, and reads its files again |
//! | [`bounds`] | what is too large, too slow, too much or no HTTP |
//! | [`events`] | what happens, in its order |
//! | [`mount`] | the router in a host of its own |
//! | [`page`] | the pages, in a real browser |

mod bounds;
mod doors;
mod errors;
mod events;
mod life;
mod mount;
mod page;
mod routes;
mod stage;
