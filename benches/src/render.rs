//! Rendering: three sizes of prompt, against the same text written by hand with `write!`, and against minijinja.
//!
//! The values are made beforehand. Against `write!` both sides write into a buffer that is used again; against
//! minijinja both make a new string, which is what it offers.

use std::fmt::Write as _;
use std::hint::black_box;

use anyhow::{Context as _, ensure};
use hostile::allocations;
use schemas::PromptId;
use schemas::parameter::Parameter;
use schemas::prompt::Prompt;
use schemas::template::{CompiledPrompt, Values};
use serde::Serialize;
use serde_json::json;

use crate::measure::{Pair, pair};
use crate::report::Figure;

const SHORT: &str = "You are the support assistant of {{ company }}. Answer {{ name }} in a friendly and precise way, \
in at most {{ limit }} sentences. Use only what the documents say. When they do not say it, tell so and offer to \
hand over to a person. Never promise a refund, a date or a price. Sign as the team of {{ company }}.";

const LOOP_HEAD: &str = "You help {{ name }} with the orders of {{ company }}. These are the latest:\n";
const LOOP_ITEM: &str = "{% for order in orders %}- order {{ order.id }}, {{ order.title }}, which was sent to the \
customer {{ order.days }} days ago by parcel service\n{% endfor %}";
const LOOP_TAIL: &str = "Say which of them is late, and why. ";

#[derive(Debug, Serialize)]
struct Order {
    id: u64,
    title: String,
    days: u64,
}

/// Parts of a prompt of 20 KB: real text, with values between.
struct Long {
    parts: [String; 5],
}

impl Long {
    fn new() -> Self {
        let text =
            include_str!("../../examples/fabric-patterns/analyze_answers/system.md").replace(['{', '}'], "|");
        let part = |n: usize| text.chars().cycle().skip(n * 977).take(4_000).collect::<String>();
        Self { parts: std::array::from_fn(part) }
    }

    fn template(&self) -> String {
        let [a, b, c, d, e] = &self.parts;
        format!("{a}{{{{ name }}}}{b}{{{{ company }}}}{c}{{{{ limit }}}}{d}{{{{ name }}}}{e}")
    }
}

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let (company, name, limit) = ("Meridian Hardware", "Ada", 4_u64);
    // Declared, as every prompt's are: what is given is checked on each render.
    let scalars: Vec<Parameter> = serde_json::from_value(json!([
        {"name": "company", "type": "string", "required": true},
        {"name": "name", "type": "string", "required": true, "max_length": 80},
        {"name": "limit", "type": "integer", "required": true, "minimum": 1, "maximum": 20},
    ]))?;
    let with_orders: Vec<Parameter> = serde_json::from_value(json!([
        {"name": "company", "type": "string", "required": true},
        {"name": "name", "type": "string", "required": true, "max_length": 80},
        {"name": "orders", "type": "list", "required": true, "max_items": 50, "items": {"type": "object", "properties": [
            {"name": "id", "type": "integer", "required": true},
            {"name": "title", "type": "string", "required": true},
            {"name": "days", "type": "integer", "required": true, "minimum": 0},
        ]}},
    ]))?;

    let by_hand_short = |out: &mut String| {
        let _ = write!(
            out,
            "You are the support assistant of {company}. Answer {name} in a friendly and precise way, in at most \
             {limit} sentences. Use only what the documents say. When they do not say it, tell so and offer to hand \
             over to a person. Never promise a refund, a date or a price. Sign as the team of {company}."
        );
    };
    let values = json!({"company": company, "name": name, "limit": limit});
    figures.extend(compare("render 300 B", SHORT, &scalars, &values, by_hand_short)?);

    let orders: Vec<Order> = (0..20)
        .map(|n| Order { id: 40_001 + n, title: format!("{} steel screws", 25 * (n + 1)), days: n % 9 })
        .collect();
    let tail = LOOP_TAIL.repeat(3);
    let template = format!("{LOOP_HEAD}{LOOP_ITEM}{tail}");
    let by_hand_loop = |out: &mut String| {
        let _ = writeln!(out, "You help {name} with the orders of {company}. These are the latest:");
        for Order { id, title, days } in &orders {
            let _ = writeln!(
                out,
                "- order {id}, {title}, which was sent to the customer {days} days ago by parcel service"
            );
        }
        out.push_str(&tail);
    };
    let values = json!({"company": company, "name": name, "orders": orders});
    figures.extend(compare("render 2.4 KB, loop of 20", &template, &with_orders, &values, by_hand_loop)?);

    let long = Long::new();
    let [a, b, c, d, e] = &long.parts;
    let by_hand_long = |out: &mut String| {
        let _ = write!(out, "{a}{name}{b}{company}{c}{limit}{d}{name}{e}");
    };
    let values = json!({"company": company, "name": name, "limit": limit});
    figures.extend(compare("render 20 KB", &long.template(), &scalars, &values, by_hand_long)?);
    Ok(figures)
}

fn compare(
    name: &str,
    template: &str,
    parameters: &[Parameter],
    values: &serde_json::Value,
    by_hand: impl Fn(&mut String),
) -> anyhow::Result<Vec<Figure>> {
    let id = PromptId::new("bench").context("a prompt id")?;
    let prompt = Prompt { parameters: parameters.to_vec(), ..Prompt::text(id, template) };
    let prompt = CompiledPrompt::compile(&prompt, &[])
        .map_err(|errors| anyhow::anyhow!("{name} does not compile: {errors:?}"))?;
    let ours = Values::of(values).context("values")?;

    let mut jinja = minijinja::Environment::new();
    jinja.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    jinja.add_template("bench", template).context("minijinja takes the template")?;
    let jinja = jinja.get_template("bench").context("minijinja has the template")?;
    let theirs = minijinja::Value::from(minijinja::value::Serde(values));

    let (mut out, mut expected) = (String::new(), String::new());
    by_hand(&mut expected);
    prompt.render_to(&ours, &mut out).context("our rendering")?;
    let other = jinja.render(theirs.clone()).context("minijinja's rendering")?;
    ensure!(out == expected, "{name}: our text is not the one written by hand");
    ensure!(other == expected, "{name}: minijinja's text is not the one written by hand");
    let bytes = expected.len();

    let render = |out: &mut String| {
        out.clear();
        prompt.render_to(black_box(&ours), out).expect("it rendered before");
        black_box(&*out);
    };
    let mut buffer = String::with_capacity(2 * bytes);
    let Pair { measured, baseline } = pair(
        || render(&mut out),
        || {
            buffer.clear();
            by_hand(black_box(&mut buffer));
            black_box(&buffer);
        },
    );
    let against_hand = Figure::new(format!("{name} ({bytes} B) vs write!"), measured, "ns");
    let against_jinja = pair(
        || {
            black_box(prompt.render(black_box(&ours)).expect("it rendered before"));
        },
        || {
            black_box(jinja.render(black_box(&theirs).clone()).expect("it rendered before"));
        },
    );
    let made = allocations::count(|| render(&mut out));
    Ok(vec![
        against_hand.against(baseline).at_most_times(2.0),
        Figure::new(format!("{name} vs minijinja"), against_jinja.measured, "ns")
            .against(against_jinja.baseline)
            .faster(),
        Figure::new(format!("{name}, allocations"), made as f64, ""),
    ])
}
