//! All sessions of all processes as lines of a replay, for whoever sorts and writes them.
//!
//! Each process makes the lines of its own sessions, a page at a time in the order they are stored
//! in; a page says where the next begins, so nothing is kept between them but the epoch's view.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use spoor_operators::identity::SessionId;
use spoor_operators::time::Day;

use crate::ask::reads::{ExportFrom, ExportPage, Here, Read};
use crate::ask::wire::{self, Question};
use crate::ask::{Asked, Peers, asker};
use crate::limits::{ANSWER_WAIT, EXPORT_PAGE_BYTES};
use crate::line;
use crate::serving::{Published, Serving};
use spoor_api::service::{ServiceError, View};
use spoor_store::StoreView;

/// A page of the lines of one process.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn page(view: &StoreView, read: &ExportFrom) -> Result<ExportPage, ServiceError> {
    let mut page = ExportPage::default();
    let (mut bytes, mut last, mut failed) = (0, None, None);
    view.for_each_session_after(read.after, &mut |session| {
        if bytes >= EXPORT_PAGE_BYTES {
            page.last = last;
            return false;
        }
        match line::line(view, session, read.with_requests) {
            Ok((key, line)) => {
                bytes += key.len() + line.len();
                page.lines.push((key.into(), line.into()));
                last = Some((session.day, session.id()));
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    match failed {
        None => Ok(page),
        Some(error) => Err(error.into()),
    }
}

/// Why not all lines were given out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A process does not answer, or its sessions cannot be read.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Whoever takes the lines failed.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Takes the key a line is to be sorted by, and the line.
pub type Visit<'a> = dyn FnMut(Bytes, Bytes) -> io::Result<()> + 'a;

/// Visits the lines of all sessions of all processes as of the newest epoch, in no order.
///
/// # Errors
/// A process does not answer, or `visit` fails.
pub(crate) fn export(
    serving: &Arc<Serving>,
    with_requests: bool,
    visit: &mut Visit<'_>,
) -> Result<(), ExportError> {
    let Some(peers) = serving.cluster() else {
        let mut mine = Mine { serving, me: 0, at: serving.published() };
        return mine.rest(ExportFrom { after: None, with_requests }, visit);
    };
    let at = asker::newest(serving, peers)?;
    let me = peers.me();
    let from = |process| Remote::begin(peers, process, &at, with_requests);
    let others = (0..peers.count()).filter(|process| *process != me).map(from);
    let mut others: Vec<Remote<'_>> = others.collect::<Result<_, ServiceError>>()?;
    let mut mine = Mine { serving, me, at: Arc::clone(&at) };
    mine.rest(ExportFrom { after: None, with_requests }, visit)?;
    while !others.is_empty() {
        for other in &mut others {
            other.page(visit)?;
        }
        others.retain(|other| other.answer.is_some());
    }
    Ok(())
}

/// The sessions of this process.
struct Mine<'a> {
    serving: &'a Serving,
    me: usize,
    at: Arc<Published>,
}

impl Mine<'_> {
    fn rest(&mut self, mut read: ExportFrom, visit: &mut Visit<'_>) -> Result<(), ExportError> {
        loop {
            let here = Here { serving: self.serving, process: self.me, at: &self.at };
            let page = read.read(&here)?;
            give(page.lines, visit)?;
            match page.last {
                Some(last) => read.after = Some(last),
                None => return Ok(()),
            }
        }
    }
}

/// The sessions of another process, whose next page is on its way.
struct Remote<'a> {
    peers: &'a Arc<dyn Peers>,
    process: usize,
    at: &'a Published,
    with_requests: bool,
    /// None: it has no more.
    answer: Option<Asked>,
}

impl<'a> Remote<'a> {
    fn begin(
        peers: &'a Arc<dyn Peers>,
        process: usize,
        at: &'a Published,
        with_requests: bool,
    ) -> Result<Self, ServiceError> {
        let mut remote = Self { peers, process, at, with_requests, answer: None };
        remote.ask(None)?;
        Ok(remote)
    }

    fn ask(&mut self, after: Option<(Day, SessionId)>) -> Result<(), ServiceError> {
        let read = ExportFrom { after, with_requests: self.with_requests }.into();
        let question = wire::encode(&Question::Read { epoch: self.at.view.epoch(), read })?;
        self.answer = Some(self.peers.ask(self.process, question));
        Ok(())
    }

    /// Gives out a page while the next one is made.
    fn page(&mut self, visit: &mut Visit<'_>) -> Result<(), ExportError> {
        let Some(answer) = self.answer.take() else { return Ok(()) };
        let page: ExportPage = asker::receive(self.process, &answer, Instant::now() + ANSWER_WAIT)?;
        if page.last.is_some() {
            self.ask(page.last)?;
        }
        give(page.lines, visit)
    }
}

fn give(lines: Vec<(Bytes, Bytes)>, visit: &mut Visit<'_>) -> Result<(), ExportError> {
    for (key, line) in lines {
        visit(key, line)?;
    }
    Ok(())
}
