//! Entries in great number, made from one that refpost wrote.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::site::{Site, commit, file, run};

/// An entry that refpost wrote, to make many like it.
pub(crate) struct Template {
    id: String,
    header: serde_json::Value,
    body: Vec<u8>,
}

impl Template {
    pub(crate) fn new(site: &Site) -> Self {
        site.import(|to| {
            for n in 0..2 {
                commit(to, "main", n, None);
                file(to, "file", &n.to_string());
            }
        });
        let update = site.moved("main", "main~1");
        run(&mut site.hook("post-receive"), &update);
        let new = site.spool().join("new");
        let path = fs::read_dir(&new).unwrap().next().unwrap().unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let start = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let line = String::from_utf8(bytes[..start].to_vec()).unwrap();
        let length: usize = line.split(' ').nth(2).unwrap().parse().unwrap();
        Self {
            id: path.file_name().unwrap().to_str().unwrap().to_owned(),
            header: serde_json::from_slice(&bytes[start..start + length]).unwrap(),
            body: bytes[start + length..].to_vec(),
        }
    }

    /// The `n`th id.
    pub(crate) fn id(&self, n: usize) -> String {
        format!("{}{n:016x}", &self.id[..self.id.len() - 16])
    }

    /// The name of the `n`th, as it waits to be tried again after five failures.
    pub(crate) fn waiting(&self, n: usize, due: &str) -> String {
        format!("{due}.5.0.{}", self.id(n))
    }

    /// The body of an entry of the size that is wanted, unlike any other.
    pub(crate) fn body(&self, n: usize, size: usize) -> Vec<u8> {
        let mut body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["msg"]["filler"] = "".into();
        body["msg_id"] = msg_id(n).into();
        let length = serde_json::to_vec(&body).unwrap().len();
        body["msg"]["filler"] = "x".repeat(size.saturating_sub(length)).into();
        serde_json::to_vec(&body).unwrap()
    }

    /// Writes an entry for each body into `new/`. They are on the disk then, as hooks
    /// leave them.
    pub(crate) fn fill(&self, new: &Path, bodies: &[Vec<u8>]) {
        for (n, body) in bodies.iter().enumerate() {
            fs::write(new.join(self.id(n)), self.entry(n, body)).unwrap();
        }
        nix::unistd::sync();
    }

    /// The bytes of an entry.
    pub(crate) fn entry(&self, n: usize, body: &[u8]) -> Vec<u8> {
        Self::of_header(self.header.clone(), n, body)
    }

    /// The bytes of an entry of another repository.
    pub(crate) fn entry_of(&self, n: usize, body: &[u8], repository: &Path) -> Vec<u8> {
        let mut header = self.header.clone();
        header["repository"] = repository.to_str().unwrap().into();
        let name = repository.file_name().unwrap().to_str().unwrap();
        header["content"]["built"]["recipients"][0]["forward"]["path"] = name.into();
        Self::of_header(header, n, body)
    }

    fn of_header(mut header: serde_json::Value, n: usize, body: &[u8]) -> Vec<u8> {
        let message = &mut header["content"]["built"]["messages"][0];
        message["length"] = body.len().into();
        message["sha256"] = hex::encode(Sha256::digest(body)).into();
        message["msg_id"] = msg_id(n).into();
        let header = serde_json::to_vec(&header).unwrap();
        let sha256 = hex::encode(Sha256::digest(&header));
        let line = format!("refpost-entry 1 {} {sha256}\n", header.len());
        [line.as_bytes(), &header, body].concat()
    }
}

fn msg_id(n: usize) -> String {
    format!("2026-{n:08}-0000-4000-8000-000000000000")
}
