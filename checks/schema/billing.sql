-- The table of the source `billing` that checks read.
create table billed_hours (
  account_id integer not null,
  time_zone text not null,
  at text not null,
  cents integer not null
);
