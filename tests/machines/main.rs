//! Whole machines: hv boots in emulated computers of both vendors, and every guest on every one of them is a test with a
//! name, like `qemu-svm-1core::hello`. `make test` builds the image and runs all; `make test TEST=name` those that
//! contain the name. See `docs/testing.md` for the matrix.
//!
//! A machine boots once for all of its tests, or with the one guest that a filter leaves. Its console is kept in
//! `build/consoles/` and shown when one of its tests fails.

#[path = "../../guest/header.rs"]
#[allow(dead_code)]
mod header;

mod cases;
mod chaos;
mod differ;
mod failures;
mod guests;
mod linux;
mod machine;
mod matrix;
mod multiboot;
mod screen;
mod stick;
mod views;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

use machine::Machine;

/// A test before it is known whether it will run.
struct Case {
    name: String,
    /// The guest that it is about, if it is about one.
    guest: Option<&'static str>,
    run: Box<dyn FnOnce() -> Result<Completion, String> + Send>,
}

impl Case {
    fn new(name: impl Into<String>, run: impl FnOnce() -> Result<(), String> + Send + 'static) -> Self {
        Self::skippable(name, || run().map(|()| Completion::Completed))
    }

    /// A test that may find that what it needs is not here, and then says so.
    fn skippable(name: impl Into<String>, run: impl FnOnce() -> Result<Completion, String> + Send + 'static) -> Self {
        Self { name: name.into(), guest: None, run: Box::new(run) }
    }

    fn about(name: String, guest: &'static str, run: impl FnOnce() -> Result<(), String> + Send + 'static) -> Self {
        Self { guest: Some(guest), ..Self::new(name, run) }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Emulators are busy or wait for each other: more at once than there are processors only makes time limits tight.
    arguments.test_threads.get_or_insert_with(|| std::thread::available_parallelism().map_or(1, Into::into).min(2));

    if !arguments.list && !Path::new(machine::KERNEL).exists() {
        eprintln!("machines: there is no {}: run `make test`, or `make iso` first", machine::KERNEL);
        return ExitCode::from(2);
    }
    let guests = match guests::all() {
        Ok(guests) => guests,
        Err(error) => {
            eprintln!("machines: {error}");
            return ExitCode::from(2);
        }
    };

    // The slow ones first, so that none of them is left alone at the end.
    let mut cases = linux::cases();
    cases.extend(matrix::cases(guests));
    cases.extend(cases::cases());
    cases.extend(chaos::cases());
    cases.extend(differ::cases());
    cases.extend(failures::cases());
    cases.extend(multiboot::cases());
    cases.extend(screen::cases());
    cases.extend(stick::cases());
    cases.extend(views::cases());

    let selected: Vec<Option<&'static str>> =
        cases.iter().filter(|case| selects(&arguments, &case.name)).map(|case| case.guest).collect();
    let wanted: BTreeSet<_> = selected.iter().flatten().copied().collect();
    // A filter that leaves one guest: machines boot with that one alone.
    if let (Some(&only), 1, true) = (wanted.first(), wanted.len(), selected.iter().all(Option::is_some)) {
        machine::boot_only(only);
    }

    let trials =
        cases.into_iter().map(|case| Trial::ignorable_test(case.name, || (case.run)().map_err(Into::into))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Whether the command line's filters leave a test: as libtest does it.
fn selects(arguments: &Arguments, name: &str) -> bool {
    let matches = |filter: &String| if arguments.exact { name == filter } else { name.contains(filter.as_str()) };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}
