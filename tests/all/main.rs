//! The promises of refpost, held against the binary: one file per capability.
//!
//! Wherever it can be, a test is a real `git push` into a bare repository whose
//! `hooks/post-receive` is a link to the binary, and a receiver that keeps every
//! byte that arrives.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod alerts;
mod announce;
mod announce_missing;
mod bad_inputs;
mod bad_inputs_tried;
mod body;
mod booted;
mod bounds_effort;
mod bounds_messages;
mod bounds_refs;
#[cfg(feature = "amqp")]
mod bus;
#[cfg(feature = "amqp")]
mod bus_config;
mod check_levels;
mod commands;
mod completions;
mod config;
mod config_errors;
mod config_errors_endpoints;
mod config_filters;
#[cfg(feature = "amqp")]
mod config_schema;
mod config_trust;
mod cron_mail;
mod damage;
mod delivery;
mod demo;
mod docs;
mod emit;
mod enable;
mod enable_config;
mod exit_codes;
mod failing_calls;
#[cfg(feature = "amqp")]
mod fleet;
#[cfg(feature = "amqp")]
mod fleet_answers;
#[cfg(feature = "amqp")]
mod fleet_config;
#[cfg(feature = "amqp")]
mod fleet_moved;
#[cfg(feature = "amqp")]
mod fleet_taken;
#[cfg(feature = "amqp")]
mod fleet_taking;
#[cfg(feature = "amqp")]
mod fleet_worker;
mod forgotten;
mod formats;
mod formats_bounds;
mod formats_commands;
mod formats_random;
mod formats_reads;
mod formats_rules;
mod from_pagure;
mod fuzz;
mod host_gitolite;
mod host_gitolite_page;
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
mod intents_containers;
mod intents_kills;
mod intents_levels;
mod intents_outside;
mod intents_races;
mod intents_trial;
mod intents_update;
mod intents_work;
mod keys;
mod late;
mod limits;
mod lost_objects;
mod man_pages;
mod many_receivers;
mod meaning_branches;
mod meaning_files;
mod meaning_head;
mod meaning_large;
mod meaning_names;
mod meaning_tags;
mod messages;
mod metrics;
mod module_order;
mod naming;
mod network;
mod one_opener;
mod outages;
mod ownership;
mod page;
mod page_browser;
mod poison;
mod power_cuts;
mod promises;
mod proxies;
mod push_options;
mod readme;
mod real_receivers;
mod receivers_real;
#[cfg(feature = "amqp")]
mod receivers_real_bus;
#[cfg(feature = "amqp")]
mod receivers_real_fleet;
#[cfg(feature = "amqp")]
mod receivers_real_fleet_broker;
#[cfg(feature = "amqp")]
mod receivers_real_fleet_chaos;
#[cfg(feature = "amqp")]
mod receivers_real_fleet_wires;
#[cfg(feature = "amqp")]
mod receivers_real_fleet_worker;
mod repositories;
mod repositories_all;
mod repositories_errors;
mod root_apart;
mod root_asks;
mod root_bounds;
mod root_elsewhere;
mod root_hooks;
mod root_interrupted;
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
mod spool_file_systems;
mod spool_flush;
mod spool_full;
mod spool_manage;

mod spool_deferred;
mod spool_log;
mod spool_many;
mod spool_modes;
mod spool_move;
mod spool_order;
mod spool_owners;
mod spool_planted;
mod spool_receivers;
mod spool_renamed;
mod spool_restored;
mod spool_sizes;
mod spool_watch;
mod start;
mod supervised;
mod support;
mod templates;
mod templates_checked;
mod templates_contrib;
mod tls;
mod tutorial;
mod two_days;
mod upgrade;
mod walk_by_git;
mod walk_graphs;
mod walk_hostile;
mod walk_hostile_commits;
mod walk_repositories;
mod walk_trees;
mod ways;
