//! The layer below all files.

use std::time::Duration;

use super::schema::{DeliveryLayer, Layer, Mode, NetworkLayer, RetryLayer};
use super::settings::{Allow, Retry};
use super::values::patterns::Patterns;
use super::values::size::{BodySize, SpoolSize};
use super::values::text::{Instance, Period};

/// Number of requests that a flush has under way at once, by default.
pub const IN_FLIGHT: usize = 64;

/// The longest body of a message, by default, in bytes.
pub(super) const MAX_BODY: usize = 1 << 20;

/// The layer below all files. `host` is the machine's name.
pub(super) fn defaults(host: &str) -> Layer {
    let retry = Retry::default();
    Layer {
        instance: Some(Instance(format!("https://{host}/"))),
        mode: Some(Mode::Background),
        push_budget: Some(Period(Duration::from_secs(5))),
        require: Some(false),
        quiet: Some(false),
        verbose_to_pusher: Some(false),
        push_options: Some(false),
        // A fetch moves these; they are what another server has.
        refs: Some(Patterns::without("refs/remotes/*")),
        max_changed_files: Some(3000),
        max_body: Some(BodySize(MAX_BODY)),
        max_spool: Some(SpoolSize(Some(256 << 20))),
        retry: RetryLayer {
            schedule: Some(retry.schedule.into_iter().map(Period).collect()),
            give_up_after: Some(Period(retry.give_up_after)),
            build_after: Some(Period(retry.build_after)),
        },
        network: NetworkLayer {
            allow: Some(Allow::Any),
            allow_hosts: Some(Vec::new()),
            allow_cidrs: Some(Vec::new()),
            https_only: Some(false),
            proxy: None,
            no_proxy: Some(Vec::new()),
        },
        delivery: DeliveryLayer {
            in_flight: Some(IN_FLIGHT),
        },
        ..Layer::default()
    }
}
