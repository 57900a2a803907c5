//! Renders the templates of endpoints, each of which is read once for a push.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::config::{Endpoint, Settings, TemplateError};
use crate::delivery::CONTENT_TYPE;
use crate::payload::{Message, Template, Templated};
use crate::report;

/// Templates that were read, by the names of their endpoints.
#[derive(Default)]
pub(crate) struct Templates(RefCell<HashMap<String, Rc<Result<Template, TemplateError>>>>);

impl Templates {
    /// Replaces the facts, which are a message's body, by what the endpoint's template makes of
    /// them. If that fails, the message has the reason, and the facts stay.
    pub(crate) fn render(&self, message: &mut Message, endpoint: &Endpoint, settings: &Settings) {
        let body = self.rendered(&message.body, endpoint, settings);
        let fault = match body {
            Ok(body) => {
                message.body = body;
                None
            }
            Err(fault) => Some(fault),
        };
        let source = endpoint.template.iter();
        let content_type = source.map(|own| (CONTENT_TYPE.to_owned(), own.content_type.clone()));
        message.headers = content_type.collect();
        message.template = Some(Templated {
            endpoint: endpoint.name.clone(),
            fault,
        });
    }

    /// Returns the body that an endpoint's template makes of facts, or the reason why it makes none.
    pub(crate) fn rendered(
        &self,
        facts: &[u8],
        endpoint: &Endpoint,
        settings: &Settings,
    ) -> Result<Vec<u8>, String> {
        let known = self.0.borrow().get(&endpoint.name).cloned();
        let template = known.map_or_else(|| self.read(endpoint), Ok)?;
        let template = template
            .as_ref()
            .as_ref()
            .map_err(|error| report::chain(error))?;
        let body = template.render(facts, settings.max_body);
        body.map_err(|fault| report::chain(&fault))
    }

    fn read(&self, endpoint: &Endpoint) -> Result<Rc<Result<Template, TemplateError>>, String> {
        let read = endpoint.template();
        let read = Rc::new(read.ok_or("the endpoint has no template any more")?);
        let mut known = self.0.borrow_mut();
        known.insert(endpoint.name.clone(), Rc::clone(&read));
        Ok(read)
    }
}
