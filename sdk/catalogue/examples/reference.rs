//! Prints the catalogue's page of the book: every action and query with the JSON Schema of its types.

use balm_catalogue::{ACTIONS, Action, QUERIES, Query, asg, ecs};
use schemars::{JsonSchema, Schema, schema_for};

fn main() {
    let mut page = String::from(
        "# The catalogue\n\nWritten by `cargo xtask docs` from `sdk/catalogue`.\n\nWhat a plugin may propose and ask, as JSON. A \
         field that the reader does not know is ignored, so an optional parameter that is misspelt has no \
         effect.\n\n# Actions\n",
    );
    action::<ecs::ScaleService>(&mut page);
    action::<ecs::RedeployService>(&mut page);
    action::<ecs::StopTask>(&mut page);
    action::<asg::SetDesiredCapacity>(&mut page);
    action::<asg::TerminateInstance>(&mut page);
    action::<asg::StartInstanceRefresh>(&mut page);
    page.push_str("\n# Queries\n");
    query::<ecs::ServiceQuery>(&mut page);
    query::<ecs::TasksQuery>(&mut page);
    query::<asg::GroupQuery>(&mut page);
    for name in ACTIONS.iter().chain(QUERIES) {
        assert!(page.contains(&format!("\n## {name}\n")), "{name} is in the catalogue and not on its page");
    }
    print!("{page}");
}

fn action<A: Action + JsonSchema>(page: &mut String) {
    chapter(page, A::NAME, "Parameters", schema_for!(A));
}

fn query<Q: Query<Answer: JsonSchema> + JsonSchema>(page: &mut String) {
    chapter(page, Q::NAME, "Parameters", schema_for!(Q));
    shape(page, "Answer", &schema_for!(Q::Answer));
}

fn chapter(page: &mut String, name: &str, what: &str, mut schema: Schema) {
    let words = schema.remove("description").and_then(|words| words.as_str().map(str::to_owned)).unwrap_or_default();
    page.push_str(&format!("\n## {name}\n\n{words}\n"));
    shape(page, what, &schema);
}

fn shape(page: &mut String, what: &str, schema: &Schema) {
    page.push_str(&format!("\n{what}:\n\n```json\n{:#}\n```\n", schema.as_value()));
}
