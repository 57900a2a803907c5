//! One attempt over HTTP. The only user of hyper.
//!
//! ```text
//! request   message + endpoint → headers and body (pure)
//! address   the addresses that may be dialled
//! proxy     the proxy in between, and the receivers that may be reached through it
//! tls       trusted certificates, and the meaning of a failed handshake
//! verifier  verifying certificates, and reporting short keys
//! connect   connections, through proxies, with TLS
//! spelling  names of headers, spelled as receivers look for them
//! wire      a connection that is read before it is given up
//! client    request → Answer
//! answer    the result: an answer, or a failure
//! fault     problems of the configuration or this machine for which nothing was sent
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
