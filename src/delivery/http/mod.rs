//! One attempt over HTTP. The only user of hyper.
//!
//! ```text
//! request   message + endpoint → headers and body (pure)
//! address   which addresses may be dialled
//! proxy     the proxy in between, and what may be reached through it
//! tls       which certificates are trusted, and what a failed handshake means
//! verifier  certificates, and what short keys mean
//! connect   connections, through proxies, with TLS
//! spelling  names of headers, spelled as receivers look for them
//! wire      a connection that is read before it is given up
//! client    request → Answer
//! answer    what came of it: an answer, or what broke
//! fault     why nothing was sent, when the configuration or this machine is the cause
//! ```

pub(super) mod address;
pub(super) mod answer;
pub(super) mod client;
mod connect;
pub(super) mod fault;
pub(super) mod proxy;
pub(super) mod request;
mod spelling;
pub(super) mod tls;
mod verifier;
mod wire;
