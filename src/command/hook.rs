use super::Done;
use super::surroundings::Surroundings;
use crate::cli::HookArgs;
pub(super) fn run(_args: &HookArgs, _around: &Surroundings) -> Done {
    Done::Well
}
