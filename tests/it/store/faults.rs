//! A disk below the log that forgets what was not synced, writes short, is full, and fails: what
//! was synced is there after every crash, and what was not is there up to some batch and no
//! further.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use mqttx::broker::durable::record::Record;
use mqttx::daemon::store::Store;
use mqttx::daemon::store::disk::Disk;
use mqttx::daemon::store::log::Log;
use mqttx::daemon::store::memory::Memory;

use crate::store::suite::{body, content, waiting};
use crate::support::chance::Chance;

/// A disk in memory; a clone is the same disk.
#[derive(Clone, Default)]
struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    /// The next write stops after so many bytes.
    short: Option<usize>,
    /// The next sync fails, and what it was about is thrown away.
    sync_fails: bool,
    /// Bytes there is room for.
    room: Option<usize>,
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
    named: bool,
}

impl FaultyDisk {
    /// The power fails: of what was not synced some bytes may be there, or none.
    fn crash(&self, chance: &mut Chance) {
        let mut state = self.0.lock().unwrap();
        state.files.retain(|_, file| file.named);
        for file in state.files.values_mut() {
            let rest = file.bytes.len() - file.synced;
            let left = file.synced + chance.below(rest + 1);
            file.bytes.truncate(left);
            if left > file.synced && chance.below(2) == 0 {
                // A sector that was never written.
                let last = file.bytes.len() - 1;
                file.bytes[last] ^= 0x5a;
            }
            file.synced = file.bytes.len();
        }
        (state.short, state.sync_fails, state.room) = (None, false, None);
    }
}

impl Disk for FaultyDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().files[name].bytes.clone())
    }

    fn read_at(&mut self, name: &str, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = at as usize;
        bytes.copy_from_slice(&self.0.lock().unwrap().files[name].bytes[at..at + bytes.len()]);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let room = state.room.unwrap_or(usize::MAX);
        let short = state.short.take().unwrap_or(usize::MAX).min(room);
        let taken = bytes.len().min(short);
        let file = state.files.entry(name.to_owned()).or_default();
        file.bytes.extend_from_slice(&bytes[..taken]);
        if let Some(room) = &mut state.room {
            *room -= taken;
        }
        match taken < bytes.len() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.get_mut(name).unwrap();
        file.bytes.resize(len as usize, 0);
        file.synced = file.synced.min(len as usize);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let fails = std::mem::take(&mut state.sync_fails);
        let file = state.files.get_mut(name).unwrap();
        if fails {
            // As the system does: it says so once, and what it could not write is gone.
            let lost = file.bytes.len() - file.synced;
            let end = file.bytes.len() - lost / 2;
            file.bytes[end..].fill(0);
            return Err(io::Error::other("Input/output error"));
        }
        file.synced = file.bytes.len();
        file.named = true;
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().files.remove(name);
        Ok(())
    }
}

/// Tries again as the broker does.
fn insist(what: impl Fn(&mut Log<FaultyDisk>) -> io::Result<()>, store: &mut Log<FaultyDisk>) {
    for _ in 0..3 {
        if what(store).is_ok() {
            return;
        }
    }
    panic!("one fault is over after one failure");
}

fn open(disk: &FaultyDisk) -> Log<FaultyDisk> {
    let mut store = Log::new(disk.clone());
    store.load(&mut |_| {}).unwrap();
    store
}

#[test]
fn what_was_synced_survives_whatever_the_disk_does() {
    let mut crashes = 0;
    for seed in 0..80 {
        let mut chance = Chance::new(seed);
        let disk = FaultyDisk::default();
        let mut model = Memory::default();
        for _ in 0..5 {
            let mut store = open(&disk);
            assert_eq!(content(&mut store), content(&mut model), "seed {seed}");
            // What may be there after the crash: the last that was synced, or anything later.
            let mut possible = vec![model.clone()];
            for _ in 0..chance.below(30) {
                let number = chance.below(9) as u64;
                let batch = match chance.below(3) {
                    0 => vec![Record::BodyGone(number)],
                    _ => vec![
                        body(number, &"x".repeat(chance.below(500))),
                        waiting(1, number as u32, number),
                    ],
                };
                match chance.below(8) {
                    0 => disk.0.lock().unwrap().short = Some(chance.below(200)),
                    1 => disk.0.lock().unwrap().sync_fails = true,
                    _ => {}
                }
                insist(|store| store.append(&batch), &mut store);
                model.append(&batch).unwrap();
                possible.push(model.clone());
                if chance.below(3) == 0 {
                    insist(|store| store.sync(), &mut store);
                    possible = vec![model.clone()];
                }
                assert_eq!(content(&mut store), content(&mut model), "seed {seed}");
            }
            drop(store);
            disk.crash(&mut chance);
            crashes += 1;
            let mut store = open(&disk);
            let found = content(&mut store);
            let which = possible.iter_mut().rposition(|one| content(one) == found);
            let which =
                which.unwrap_or_else(|| panic!("seed {seed}: neither old nor new: {found:?}"));
            model = possible.swap_remove(which);
        }
    }
    assert_eq!(crashes, 400);
}

#[test]
fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let disk = FaultyDisk::default();
    let mut store = open(&disk);
    let mut model = Memory::default();
    let mut number = 0;
    let mut add = |store: &mut Log<FaultyDisk>, model: &mut Memory| {
        number += 1;
        let batch = [body(number, &"y".repeat(300))];
        store.append(&batch)?;
        model.append(&batch)
    };
    for _ in 0..10 {
        add(&mut store, &mut model).unwrap();
    }
    store.sync().unwrap();
    disk.0.lock().unwrap().room = Some(1_000);
    let mut failures = 0;
    for _ in 0..10 {
        failures += u32::from(add(&mut store, &mut model).is_err());
    }
    assert!(failures >= 7, "{failures}");
    disk.0.lock().unwrap().room = None;
    add(&mut store, &mut model).unwrap();
    assert_eq!(content(&mut store), content(&mut model));
    store.sync().unwrap();
    drop(store);
    disk.crash(&mut Chance::new(1));
    assert_eq!(content(&mut open(&disk)), content(&mut model));
}

#[test]
fn a_torn_end_is_cut_and_told_and_kept_aside() {
    let disk = FaultyDisk::default();
    let mut store = open(&disk);
    store.append(&[body(1, "whole")]).unwrap();
    store.append(&[body(2, "torn")]).unwrap();
    drop(store);
    let len = {
        let mut state = disk.0.lock().unwrap();
        let file = state.files.get_mut("00000001.log").unwrap();
        file.bytes.pop();
        file.bytes.len()
    };
    let mut store = open(&disk);
    assert_eq!(content(&mut store).len(), 1);
    let news = store.news();
    assert!(
        news[0].contains("not written whole") && news[0].contains("00000001.log.cut-"),
        "{news:?}"
    );
    let state = disk.0.lock().unwrap();
    let cut: usize = state
        .files
        .iter()
        .filter(|(name, _)| name.contains("cut"))
        .map(|(_, file)| file.bytes.len())
        .sum();
    assert_eq!(state.files["00000001.log"].bytes.len() + cut, len);
}

#[test]
fn damage_and_newer_versions_are_told_and_nothing_is_touched() {
    for (at, what, kind) in [
        (20, "damaged", io::ErrorKind::InvalidData),
        (3, "no file of a store", io::ErrorKind::InvalidData),
        (14, "newer version", io::ErrorKind::Unsupported),
    ] {
        let disk = FaultyDisk::default();
        let mut store = open(&disk);
        store.append(&[body(1, "one")]).unwrap();
        drop(store);
        {
            // A second file, so that the first is not the one that may end anyhow.
            let mut state = disk.0.lock().unwrap();
            let first = &mut state.files.get_mut("00000001.log").unwrap().bytes;
            let second = first.clone();
            first[at] ^= 0xff;
            state.files.insert(
                "00000002.log".into(),
                File {
                    bytes: second,
                    synced: 0,
                    named: true,
                },
            );
        }
        let before = disk.0.lock().unwrap().files["00000001.log"].bytes.clone();
        let error = Log::new(disk.clone()).load(&mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(disk.0.lock().unwrap().files["00000001.log"].bytes, before);
    }
}
