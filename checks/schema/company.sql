-- The tables of the source `company` that checks read: what `allswell test` makes in its scratch database.
create table accounts (
  id integer primary key,
  name text not null,
  time_zone text not null,
  plan text not null,
  created_at text not null,
  utc_offset integer not null,
  closed_on text
);
create table usage (
  id integer primary key,
  account_id integer not null,
  at text not null,
  amount_cents integer not null
);
create table invoice_lines (
  id integer primary key,
  account_id integer not null,
  day text not null,
  amount_cents integer not null
);
create table refunds (id integer primary key, account_id integer not null, approved_by text);
create table chargebacks (id integer primary key, account_id integer not null, answered_by text);

-- The name that this table had before somebody renamed it: the check still asks for it, and is red in the demo.
create table account_addresses (id integer primary key, verified_on text);
