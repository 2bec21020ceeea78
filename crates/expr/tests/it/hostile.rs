//! Text that nobody would write: no panic, no overflow of the stack, no unbounded time.

use expr::{Options, Plan, Scratch, TemplateValue, Templates};
use proptest::prelude::*;
use types::batch::Batch;
use types::column::{Column, Values};
use types::id::FieldId;

use crate::world::schema;

/// Filters that use every part of the grammar on the fields of the fuzz target.
pub const SEEDS: [&str; 27] = [
    "i == -9223372036854775808 or i in [1, -2, 3,] and not (a < 3)",
    "1 < a <= 5 || 5 > c >= 1 && d % 7 == 3",
    "f == 0.1 and g > 1e-3 or g < .5 or f >= 2.",
    "s like \"a%\" and s like '_\\%' or s in ['a', \"b\", r'\\'] or s > 'b'",
    "j[\"a\"] == 1 and j[\"b\"][0] != 'b' or exists j['c'] and not exists j[\"c\"][\"d\"]",
    "json_contains(j[\"b\"], 1) or json_contains_all(j[\"b\"], [1, \"b\"]) or JSON_CONTAINS_ANY(j['b'], [[true]])",
    "array_length(j[\"b\"]) >= 1 or array_length(b) == 0",
    "s is null or j is not null and v is null",
    "b == true or b in [false] or flag == True",
    "a > c or d <= g and s != s",
    "(a & 4) == 4 or (d | 1) == 3 or (c ^ 7) != 0 or (i << 3) > 8 or (i >> 1) < 4",
    "a + {n} == 3 and g * {f} < 1 and s like {s} and i in {l} and j[\"a\"] in {j}",
    "not (not (i == 1)) and (((a == 1)))",
    "i in [] or s not in [] or g in [1, 2.5, -0.0]",
    "$meta[\"a\"] == 1.0 or a1[\"x\"][3] in [1, 'x', true, [1]]",
    "text_match(s, 'a b', minimum_should_match=2) or phrase_match(s, 'a', 1)",
    "random_sample(0.01) and st_within(g, 'POINT(0 0)')",
    "element_filter(x, $[y] > 1) or x[y] == 1 or x[3][y] == 2",
    "t + INTERVAL 'P1D' > ISO '2025-01-01T00:00:00Z'",
    "s =~ 'a.*' or s !~ \"b\"",
    "0x1F == i or 017 == i or 0b101 == i or 0x1.8p3 < g",
    "2 ** 3 > 7 and -1 < +2 and ~1 == -2",
    "j == [1, {\"a\": 1}]",
    "r[0] > 0.5 or w[1] like 'b%' or r[2] in [1, 0.5] and 0 < r[1] <= 2 or r[0] + 1 == 2.5 and w[0] =~ '^b?$'",
    "r == [1, 0.5] or w != [] or w in [['a', 'b'], []] and r is null or array_contains(r, 1) or json_contains(w, 'b')",
    "array_contains_all(r, [1, 2.0]) or ARRAY_CONTAINS_ANY(w, [{s}]) or array_length(r) % 2 == 1 or 1 + array_length(j) > 2",
    "j[\"a\"] + 1 == 2 or j[\"a\"] % 2 == 0 or j[\"a\"] / 2 > 0.5",
];

fn seeds() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&SEEDS[..])
}

/// Where, what, and with which byte.
fn edits() -> impl Strategy<Value = (prop::sample::Index, u8, u8)> {
    (any::<prop::sample::Index>(), 0u8..4, any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        expr::fuzz(&bytes);
    }

    #[test]
    fn any_tokens(tokens in proptest::collection::vec(prop::sample::select(TOKENS), 0..30)) {
        expr::fuzz(tokens.join(" ").as_bytes());
        expr::fuzz(tokens.concat().as_bytes());
    }

    #[test]
    fn mutated_filters(seed in seeds(), edits in proptest::collection::vec(edits(), 1..6)) {
        let mut bytes = seed.as_bytes().to_vec();
        for (at, kind, byte) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => {
                    let copy = bytes[at..bytes.len().min(at + usize::from(byte) % 12)].to_vec();
                    let to = usize::from(byte) % (bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
            }
        }
        expr::fuzz(&bytes);
    }

    #[test]
    fn spliced_filters(a in seeds(), b in seeds(), cut: prop::sample::Index, paste: prop::sample::Index) {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        expr::fuzz(&[&a[..cut.index(a.len())], &b[paste.index(b.len())..]].concat());
    }
}

const TOKENS: &[&str] = &[
    "i",
    "a",
    "s",
    "j",
    "b",
    "v",
    "r",
    "w[0]",
    "array_contains",
    "j[\"a\"]",
    "$meta",
    "x",
    "1",
    "-1",
    "0",
    "1.5",
    "'a'",
    "true",
    "[1, 2]",
    "[]",
    "{n}",
    "{l}",
    "(",
    ")",
    "[",
    "]",
    ",",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "&",
    "|",
    "^",
    "~",
    "<<",
    ">>",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
    "=",
    "and",
    "or",
    "not",
    "in",
    "not in",
    "like",
    "=~",
    "!~",
    "exists",
    "is null",
    "is not null",
    "json_contains",
    "array_length",
    "ISO",
    "9223372036854775808",
    "null",
];

#[test]
fn seeds_compile_or_fail_with_the_envelope() {
    for seed in SEEDS {
        expr::fuzz(seed.as_bytes());
    }
}

#[test]
fn deep_and_long_texts_on_a_small_stack() {
    let compile = || {
        let schema = schema();
        let integers = |field, values: Values| Column::new(FieldId(field), values);
        let tiny = Values::Int8((0..100).collect::<Vec<i8>>().into());
        let short = Values::Int16((0..100).collect::<Vec<i16>>().into());
        let int = Values::Int32((0..100).map(|row| row % 2).collect::<Vec<i32>>().into());
        let batch = Batch::new(100, vec![integers(102, tiny), integers(103, short), integers(104, int)]);
        let check = |text: String| match Plan::compile(&text, &schema, &Options::default()) {
            Ok(plan) => drop(plan.evaluate(&batch, batch.rows(), &mut Scratch::default())),
            Err(error) => assert!(error.reason().starts_with("cannot parse expression: "), "{error}"),
        };
        let repeat = |text: &str, times: usize| text.repeat(times);
        for times in [100, 200, 254, 255, 256, 257, 100_000] {
            check(format!("{}int == 1{}", repeat("(", times), repeat(")", times)));
            check(format!("{}int == 1{}", repeat("not (", times), repeat(")", times)));
            check(repeat("(", times));
            check(repeat("[", times));
            check(repeat("not ", times));
            check(repeat("-", times));
            check(format!("j[\"a\"] in {}{}", repeat("[", times), repeat("]", times)));
            check(format!("j[\"a\"] == {}1{}", repeat("[", times), repeat("]", times)));
            check(format!("int == 1{}", repeat(" + 1", times)));
            check(format!("int{} == 1", repeat("[0]", times)));
            check(format!("j{} == 1", repeat("[0]", times)));
            check(format!("{}1{}", repeat("exists ", times), repeat(" == 1", times)));
            check(format!("{}int == 1{}", repeat("f(", times), repeat(")", times)));
            check(format!("int == 1{}", repeat(" and (tiny == 2 or short == 3", times)));
            let ladder = (0..times.min(1_000))
                .fold("int == 1".to_owned(), |inner, i| format!("({inner}) {} not (tiny == {i})", if i % 2 == 0 { "and" } else { "or" }));
            check(ladder);
        }
    };
    // What a server's thread has at least is two megabytes.
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(compile).expect("a thread starts");
    thread.join().expect("no text overflows a small stack");
}

#[test]
fn what_is_too_long_or_just_long() {
    let schema = schema();
    let compile = |text: &str| Plan::compile(text, &schema, &Options::default());
    let too_long = format!("id == 1 {}", " ".repeat(expr::TEXT_BYTES_MAX));
    assert!(compile(&too_long).is_err_and(|error| error.reason().contains("at most 33554432 are allowed")));
    let many = format!("key in [{}]", "'',".repeat(3 << 20));
    assert!(compile(&many).is_err_and(|error| error.reason().contains("has more than 2097152 operands")));
    let mixed = format!("d in [{}1.5]", "1,".repeat(3 << 20));
    assert!(compile(&mixed).is_err_and(|error| error.reason().contains("has more than 2097152 operands")));
    let templates = Templates::from([("l".to_owned(), TemplateValue::Ints((0..100_000).collect()))]);
    let again_and_again = vec!["id in {l}"; 1_000].join(" or ");
    let error = Plan::compile(&again_and_again, &schema, &Options { templates, ..Options::default() });
    assert!(error.is_err_and(|error| error.reason().contains("templates give more than 8388608 constants")));
    let keys: Vec<String> = (0..500_000).map(|key| (key * 7).to_string()).collect();
    let plan = compile(&format!("id in [{}]", keys.join(", "))).expect("half a million keys");
    assert_eq!(plan.named_keys(FieldId(100)).map(|named| named.keys.len()), Some(500_000));
    let chain: Vec<String> = (0..50_000).map(|key| format!("id == {key}")).collect();
    let plan = compile(&chain.join(" or ")).expect("fifty thousand equalities");
    assert_eq!(plan.values_of(FieldId(100)).map(|values| values.len()), Some(50_000));
}
