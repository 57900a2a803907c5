//! In place of `probe` where no broker can be configured.

use std::sync::Arc;

use crate::config::{Broker, Network};

/// Says that this refpost knows no broker.
pub async fn find(_: &Broker, _: &Arc<Network>, _: &str, _: &[String]) -> Result<(), String> {
    Err("this refpost is built without the feature `amqp`".to_owned())
}
