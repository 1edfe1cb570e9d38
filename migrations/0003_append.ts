import type { Knex } from 'knex'

/** The only way into the ledger: one round trip that chains, stamps and stores an entry. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(helpers)
  await knex.raw(append)
}

export async function down(): Promise<void> {
  throw new Error('migrations only go forward: restore a backup instead')
}

const helpers = `
-- Who may write which kind of entry. It asks who logged in, not whose rights a function lends.
create function ledger.may_append(kind text) returns boolean language sql stable as $$
  select case
    when kind in ('planned', 'decision', 'reserved', 'warrant', 'closed') then pg_has_role(session_user, 'aegis_decision', 'member')
    when kind in ('preflight', 'intent', 'attempt', 'fencing', 'settled') then pg_has_role(session_user, 'aegis_execution', 'member')
    when kind in ('answer', 'answer_refused', 'freeze_set', 'freeze_lifted', 'claim_released', 'key_created', 'key_revoked')
      then pg_has_role(session_user, 'aegis_api', 'member')
    when kind = 'requested' then pg_has_role(session_user, 'aegis_api', 'member') or pg_has_role(session_user, 'aegis_decision', 'member')
      or pg_has_role(session_user, 'aegis_watcher', 'member')
    else true
  end
$$;

-- Must equal deterministicUuid of domain/uuid.ts.
create function ledger.entry_id(ms bigint, stream text, key text) returns uuid language sql immutable strict as $$
  select (lpad(to_hex(ms), 12, '0') || '7' || substr(digest, 1, 3)
    || to_hex((B'10' || substring(('x' || substr(digest, 1, 20))::bit(80) from 13 for 62))::bit(64)::bigint))::uuid
  from encode(sha256(convert_to(stream || E'\\n' || key, 'UTF8')), 'hex') as digest
$$;

-- Must equal entryText of domain/ledger.ts: RFC 8785, so members stand in this order.
create function ledger.entry_text(about text, actor text, at text, body text, key text, kind text, prev text, seq integer, stream text)
returns text language sql immutable as $$
  select '{"about":' || about || ',"actor":' || actor || ',"at":"' || at || '","body":' || body || ',"key":"' || key
    || '","kind":"' || kind || '","prev":' || coalesce('"' || prev || '"', 'null') || ',"seq":' || seq
    || ',"stream":"' || stream || '","v":1}'
$$;

-- Spelled without quotes, backslashes or anything else that JSON would have to escape.
create function ledger.is_plain(word text) returns boolean language sql immutable strict parallel safe as $$
  select word ~ '^[A-Za-z0-9_./:@-]{1,200}$'
$$;
`

// p_about, p_actor and p_body are canonical JSON. A stream named by a version 7 UUID starts at that id's
// time, so a retry finds the entry it wrote before; other streams go on for ever, their ids carry the time of
// the entry, and the caller's own row keeps a retry from writing twice.
const append = `
create function ledger.append(p_stream text, p_key text, p_kind text, p_about text, p_actor text, p_body text)
returns table (event_id uuid, seq integer, hash text, known boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  head ledger.stream_head;
  now_at timestamptz;
  ms bigint;
  found_entry text;
  told jsonb;
begin
  if not (ledger.is_plain(p_stream) and ledger.is_plain(p_key) and ledger.is_plain(p_kind)) then
    raise exception 'stream, key and kind of an entry are plain words' using errcode = 'AE006';
  end if;
  if json_typeof(p_actor::json) <> 'object' or json_typeof(p_body::json) <> 'object' or json_typeof(p_about::json) <> 'object' then
    raise exception 'about, actor and body of an entry are objects' using errcode = 'AE006';
  end if;
  if not ledger.may_append(p_kind) then
    raise exception '% may not write an entry of kind %', session_user, p_kind using errcode = 'AE005';
  end if;

  select h.* into head from ledger.stream_head h where h.stream = p_stream for update;
  if not found then
    insert into ledger.stream_head as h values (p_stream, 0, null, p_about, clock_timestamp())
      on conflict (stream) do update set last_at = clock_timestamp() returning h.* into head;
  end if;
  now_at := clock_timestamp();
  if p_stream ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' then
    ms := ledger.uuid_ms(p_stream::uuid);
    if head.seq = 0 and p_kind <> 'requested' then
      raise exception 'there is no remediation %', p_stream using errcode = 'AE007';
    end if;
    p_about := coalesce(head.about, 'null');
  else
    ms := (extract(epoch from now_at) * 1000)::bigint;
    p_about := coalesce(p_about, 'null');
  end if;

  event_id := ledger.entry_id(ms, p_stream, p_key);
  select e.entry into found_entry from ledger.audit_event e where e.event_id = append.event_id;
  if found then
    told := found_entry::jsonb;
    if found_entry <> ledger.entry_text(p_about, p_actor, told ->> 'at', p_body, p_key, p_kind, told ->> 'prev', (told ->> 'seq')::integer, p_stream) then
      raise exception 'entry % of stream % says something else already', p_key, p_stream using errcode = 'AE001';
    end if;
    seq := (told ->> 'seq')::integer;
    hash := 'sha256:' || encode(sha256(convert_to(found_entry, 'UTF8')), 'hex');
    known := true;
    return next;
    return;
  end if;

  seq := head.seq + 1;
  found_entry := ledger.entry_text(p_about, p_actor, to_char(now_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    p_body, p_key, p_kind, head.hash, seq, p_stream);
  hash := 'sha256:' || encode(sha256(convert_to(found_entry, 'UTF8')), 'hex');
  known := false;
  insert into ledger.audit_event (event_id, entry) values (append.event_id, found_entry);
  update ledger.stream_head h set seq = append.seq, hash = append.hash, last_at = now_at where h.stream = p_stream;
  return next;
end $$;
`
