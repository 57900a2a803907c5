//! The promises of refpost, held against the binary: one file per capability.
//!
//! Wherever it can be, a test is a real `git push` into a bare repository whose
//! `hooks/post-receive` is a link to the binary, and a receiver that keeps every
//! byte that arrives.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod bad_inputs;
mod bad_inputs_tried;
mod body;
mod bounds_effort;
mod bounds_messages;
mod bounds_refs;
mod commands;
mod config;
mod config_errors;
mod config_trust;
mod damage;
mod delivery;
mod demo;
mod emit;
mod enable;
mod enable_config;
mod fleet;
mod fleet_all;
mod fleet_errors;
mod forgotten;
mod from_pagure;
mod fuzz;
mod host_gitolite;
mod host_hooks_path;
mod host_layouts;
mod host_shown;
mod host_ssh;
mod host_web;
mod hostile_files;
mod hostile_objects;
mod hostile_receivers;
mod hostile_text;
mod input;
mod keys;
mod lost_objects;
mod meaning_branches;
mod meaning_files;
mod meaning_head;
mod meaning_large;
mod meaning_names;
mod meaning_tags;
mod network;
mod one_opener;
mod outages;
mod outbox_kills;
mod outbox_levels;
mod outbox_outside;
mod outbox_races;
mod outbox_trial;
mod outbox_update;
mod outbox_work;
mod ownership;
mod power_cuts;
mod promises;
mod proxies;
mod push_options;
mod readme;
mod real_receivers;
mod root_apart;
mod root_bounds;
mod scenarios;
mod secrets;
mod service;
mod service_refuses;
mod spool_answers;
mod spool_beside;
mod spool_bounds;
mod spool_builders;
mod spool_claims;
mod spool_crash;
mod spool_damage;
mod spool_disks;
<<<<<<< HEAD
mod spool_drop;
mod spool_drop_forged;
mod spool_file_systems;
=======
>>>>>>> 500fb8b (service: accounts submit entries over a socket; the mail drop is gone)
mod spool_flush;
mod spool_full;
mod spool_hands;

mod spool_many;
mod spool_modes;
mod spool_move;
mod spool_order;
mod spool_owed;
mod spool_owners;
mod spool_planted;
mod spool_receivers;
mod spool_sizes;
mod spool_watch;
mod start;
mod support;
mod tls;
mod troubleshooting;
mod upgrade;
mod walk_by_git;
mod walk_graphs;
mod walk_hostile;
mod walk_repositories;
mod walk_trees;
mod ways;
