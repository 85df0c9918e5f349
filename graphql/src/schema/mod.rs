//! The schema: one file a topic, translated to and from the seam and nothing else.

pub mod change_inputs;
pub mod filter;
pub mod ids;
pub mod lists;
pub mod mutation;
pub mod operation;
pub mod order;
pub mod overview;
pub mod page;
pub mod query;
pub mod request;
pub mod rule_change;
pub mod rule_inputs;
pub mod rules;
pub mod scalars;
pub mod session;
pub mod statistics;
pub mod status;
pub mod subscription;

use async_graphql::SDLExportOptions;

use crate::budget::Meter;
use crate::options::ServerOptions;
use mutation::Mutation;
use query::Query;
use subscription::Subscription;

/// The schema of this crate.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// Builds the schema with its limits.
#[must_use]
pub fn build(options: &ServerOptions) -> Schema {
    let limits = &options.operation;
    let builder = Schema::build(Query, Mutation, Subscription)
        .limit_depth(limits.depth_max)
        .limit_recursive_depth(limits.depth_max * 2)
        .limit_complexity(limits.complexity_max)
        .limit_aliases(limits.aliases_max)
        .limit_directives(limits.directives_max)
        .extension(Meter);
    let builder = if options.introspection {
        builder
    } else {
        builder.disable_introspection().disable_suggestions()
    };
    builder.finish()
}

/// The schema in its definition language, as it is committed in `schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by().sorted_enum_items();
    build(&ServerOptions::default()).sdl_with_options(options)
}
