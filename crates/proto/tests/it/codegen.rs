//! The generation of `src/gen`, as a test: what is committed must be what the `.proto` files give.
//!
//! With `ELANUS_BLESS=1` in the environment the test writes the committed files instead of comparing them. It takes every
//! file of `proto/milvus` and of `proto/elanus`; a package that is new there still needs its `include!` in `src/lib.rs`,
//! which the test asks for.
//!
//! Files of `proto/elanus` import each other as "elanus/NAME.proto" and those of Milvus as "NAME.proto". Their packages
//! are `elanus.…`, and what they use of Milvus is the types that this crate already has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic_prost_build::Builder;

/// Where the encoded descriptors of the Milvus packages go, beside the generated code.
const DESCRIPTORS: &str = "milvus.proto.bin";
const OWN_PREFIX: &str = "elanus.";

/// File names and contents of all that `proto` (a folder with `milvus` and perhaps `elanus`) gives.
fn generate(proto: &Path) -> BTreeMap<String, Vec<u8>> {
    let milvus = proto.join("milvus");
    let mut compiler = compiler(&[&milvus], &proto_files(&milvus, ""));
    let mut files =
        rust_files(&mut compiler, |builder| builder.extern_path(".milvus.proto.schema.FloatArray", "crate::floats::FloatArray"));
    files.insert(DESCRIPTORS.to_owned(), compiler.encode_file_descriptor_set());

    let own = proto_files(&proto.join("elanus"), "elanus/");
    if !own.is_empty() {
        let mut compiler = self::compiler(&[&milvus, proto], &own);
        let generated = rust_files(&mut compiler, |builder| builder.extern_path(".milvus.proto", "crate"));
        // An imported package with a service is generated again: the first pass has it already.
        files.extend(generated.into_iter().filter(|(name, _)| name.starts_with(OWN_PREFIX)));
    }
    files
}

/// The `.proto` files in `folder` with `prefix` before their names, sorted. Empty where there is no such folder.
fn proto_files(folder: &Path, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".proto"))
        .map(|name| format!("{prefix}{name}"))
        .collect();
    names.sort();
    names
}

fn compiler(includes: &[&Path], names: &[String]) -> protox::Compiler {
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler.include_source_info(false).include_imports(true);
    compiler.open_files(names).unwrap_or_else(|error| panic!("{error:?}"));
    compiler
}

/// The Rust files for what `compiler` has open.
fn rust_files(compiler: &mut protox::Compiler, paths: impl FnOnce(Builder) -> Builder) -> BTreeMap<String, Vec<u8>> {
    // Source places carry the comments of the .proto files into the Rust documentation.
    let descriptors = compiler.include_source_info(true).file_descriptor_set();
    compiler.include_source_info(false);
    let target = tempfile::tempdir().unwrap();
    let builder = tonic_prost_build::configure()
        .out_dir(target.path())
        // A constructor `connect` would collide with the RPC `Connect`.
        .build_transport(false)
        .generate_default_stubs(true)
        .bytes(".")
        .btree_map(".")
        .emit_rerun_if_changed(false);
    paths(builder).compile_fds(without_deprecations(descriptors)).unwrap();
    read_folder(target.path())
}

/// `descriptors` with nothing marked as deprecated: a server must fill the fields that old clients read, and `Status`
/// with its deprecated error code is in every response.
fn without_deprecations(mut descriptors: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut descriptors.file {
        let FileDescriptorProto { message_type, enum_type, service, .. } = file;
        message_type.iter_mut().for_each(clear_message);
        enum_type.iter_mut().for_each(clear_enum);
        for service in service {
            clear(&mut service.options, |options| &mut options.deprecated);
            for method in &mut service.method {
                clear(&mut method.options, |options| &mut options.deprecated);
            }
        }
    }
    descriptors
}

fn clear_message(message: &mut DescriptorProto) {
    clear(&mut message.options, |options| &mut options.deprecated);
    for field in &mut message.field {
        clear(&mut field.options, |options| &mut options.deprecated);
    }
    message.enum_type.iter_mut().for_each(clear_enum);
    message.nested_type.iter_mut().for_each(clear_message);
}

fn clear_enum(item: &mut EnumDescriptorProto) {
    clear(&mut item.options, |options| &mut options.deprecated);
    for value in &mut item.value {
        clear(&mut value.options, |options| &mut options.deprecated);
    }
}

fn clear<T>(options: &mut Option<T>, deprecated: impl FnOnce(&mut T) -> &mut Option<bool>) {
    if let Some(options) = options {
        *deprecated(options) = None;
    }
}

fn read_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn committed_code_is_what_the_protos_give() {
    let generated = generate(&crate_folder().join("proto"));
    let target = crate_folder().join("src/gen");
    if std::env::var_os("ELANUS_BLESS").is_some_and(|value| value == "1") {
        for name in read_folder(&target).keys().filter(|name| !generated.contains_key(*name)) {
            fs::remove_file(target.join(name)).unwrap();
        }
        for (name, content) in &generated {
            fs::write(target.join(name), content).unwrap();
        }
    }
    let committed = read_folder(&target);
    assert!(committed.keys().eq(generated.keys()), "{:?} ≠ {:?}", committed.keys(), generated.keys());
    for (name, content) in &generated {
        // Not assert_eq: it would print megabytes.
        assert!(committed[name] == *content, "src/gen/{name} is stale: run this test with ELANUS_BLESS=1");
    }
}

#[test]
fn every_generated_file_is_part_of_the_crate() {
    let library = fs::read_to_string(crate_folder().join("src/lib.rs")).unwrap();
    for name in read_folder(&crate_folder().join("src/gen")).keys() {
        let quoted = format!("\"gen/{name}\"");
        assert_eq!(library.matches(&quoted).count(), 1, "src/lib.rs includes {quoted} once");
    }
}

#[test]
fn own_packages_use_the_milvus_types_of_this_crate() {
    let proto = tempfile::tempdir().unwrap();
    let (milvus, own) = (proto.path().join("milvus"), proto.path().join("elanus"));
    fs::create_dir(&milvus).unwrap();
    fs::create_dir(&own).unwrap();
    for name in proto_files(&crate_folder().join("proto/milvus"), "") {
        fs::copy(crate_folder().join("proto/milvus").join(&name), milvus.join(&name)).unwrap();
    }
    let pin = r#"syntax = "proto3"; package elanus.pin; message Pin { uint64 version = 1; bytes position = 2; }"#;
    let probe = r#"
        syntax = "proto3";
        package elanus.probe;
        import "elanus/pin.proto";
        import "milvus.proto";
        import "schema.proto";
        message Row { elanus.pin.Pin pin = 1; milvus.proto.schema.FieldData data = 2; }
        service Probe { rpc Connect(Row) returns (milvus.proto.milvus.MutationResult); }
    "#;
    fs::write(own.join("pin.proto"), pin).unwrap();
    fs::write(own.join("probe.proto"), probe).unwrap();

    let files = generate(proto.path());
    let own: Vec<&String> = files.keys().filter(|name| name.starts_with(OWN_PREFIX)).collect();
    assert_eq!(own, ["elanus.pin.rs", "elanus.probe.rs"]);
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    assert!(text("elanus.pin.rs").contains("pub position: ::prost::bytes::Bytes"));
    for part in ["super::pin::Pin", "crate::schema::FieldData", "crate::milvus::MutationResult", "mod probe_server"] {
        assert!(text("elanus.probe.rs").contains(part), "{part} is in {}", text("elanus.probe.rs"));
    }
    assert!(text("milvus.proto.milvus.rs").contains("pub struct MutationResult"));
}
