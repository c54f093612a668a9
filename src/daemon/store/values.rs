//! The values of rows that have more than a field or two, beside their readers.

use crate::broker::durable::record::{Crossed, CrossedTarget, SessionRecord, Waiting, WillRecord};
use crate::daemon::store::encoding::{Reader, Writer};
use crate::mqtt::PacketId;
use crate::mqtt::Version;

/// Subscription Identifiers of one message that are read back at most.
const IDS_MAX: u32 = 1_000_000;

type Share = Option<(Box<str>, Box<str>)>;
type Ids = Option<std::sync::Arc<[u32]>>;

pub(crate) fn put_session(session: &SessionRecord) -> Vec<u8> {
    let value = Writer::new()
        .text(&session.client_id)
        .u8(u8::from(session.user_name.is_some()))
        .text(session.user_name.as_deref().unwrap_or(""))
        .u16(session.worker)
        .u8(session.version.level())
        .u32(session.expiry)
        .time(session.lost);
    match &session.will {
        None => value.u8(0).done(),
        Some(will) => value.u8(1).u32(will.delay).message(&will.message).done(),
    }
}

pub(crate) fn session(session: u64, value: &mut Reader<'_>) -> Option<SessionRecord> {
    let client_id = value.text()?.into();
    let named = value.u8()? != 0;
    let user_name = Some(value.text()?).filter(|_| named).map(Into::into);
    let worker = value.u16()?;
    let version = match value.u8()? {
        3 => Version::V31,
        4 => Version::V311,
        5 => Version::V5,
        _ => return None,
    };
    let (expiry, lost) = (value.u32()?, value.time()?);
    let will = match value.u8()? {
        0 => None,
        _ => Some(WillRecord {
            delay: value.u32()?,
            message: value.message()?,
        }),
    };
    Some(SessionRecord {
        session,
        client_id,
        user_name,
        worker,
        version,
        expiry,
        lost,
        will,
    })
}

pub(crate) fn put_waiting(waiting: &Waiting) -> Vec<u8> {
    let value = Writer::new()
        .u64(waiting.body)
        .u32(waiting.size)
        .u8(waiting.qos.bits())
        .u8(u8::from(waiting.retain))
        .u16(waiting.packet_id.map_or(0, PacketId::value));
    let value = put_ids(value, &waiting.subscription_ids);
    put_share(value, &waiting.share).done()
}

pub(crate) fn waiting(session: u64, order: u32, value: &mut Reader<'_>) -> Option<Waiting> {
    Some(Waiting {
        session,
        order,
        body: value.u64()?,
        size: value.u32()?,
        qos: value.qos()?,
        retain: value.u8()? != 0,
        packet_id: PacketId::new(value.u16()?),
        subscription_ids: ids(value)?,
        share: share(value)?,
    })
}

pub(crate) fn put_crossed(crossed: &Crossed) -> Vec<u8> {
    let mut value = put_share(Writer::new().kept(&crossed.kept), &crossed.share);
    value = value.u32(crossed.targets.len() as u32);
    for target in &crossed.targets {
        value = value
            .u64(target.session)
            .u8(target.qos.bits())
            .u8(u8::from(target.retain_as_published));
        value = put_ids(value, &target.subscription_ids);
    }
    value.done()
}

pub(crate) fn crossed(value: &mut Reader<'_>) -> Option<Crossed> {
    let kept = value.kept()?;
    let share = share(value)?;
    let count = value.u32()?;
    let mut targets = Vec::new();
    for _ in 0..count {
        targets.push(CrossedTarget {
            session: value.u64()?,
            qos: value.qos()?,
            retain_as_published: value.u8()? != 0,
            subscription_ids: ids(value)?,
        });
    }
    Some(Crossed {
        kept,
        targets,
        share,
    })
}

fn put_ids(value: Writer, ids: &Ids) -> Writer {
    let ids = ids.as_deref().unwrap_or_default();
    let count = value.u32(ids.len() as u32);
    ids.iter().fold(count, |value, id| value.u32(*id))
}

fn ids(value: &mut Reader<'_>) -> Option<Ids> {
    let count = value.u32().filter(|count| *count <= IDS_MAX)?;
    let ids: Option<Vec<u32>> = (0..count).map(|_| value.u32()).collect();
    Some(Some(ids?).filter(|ids| !ids.is_empty()).map(Into::into))
}

fn put_share(value: Writer, share: &Share) -> Writer {
    match share {
        None => value.u8(0),
        Some((name, filter)) => value.u8(1).text(name).text(filter),
    }
}

fn share(value: &mut Reader<'_>) -> Option<Share> {
    Some(match value.u8()? {
        0 => None,
        _ => Some((value.text()?.into(), value.text()?.into())),
    })
}
