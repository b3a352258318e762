-- A small shop, with one mistake in it.
CREATE TABLE orders (
  id integer PRIMARY KEY,
  state text NOT NULL,
  total_cents integer NOT NULL,
  created_at timestamptz NOT NULL
);
INSERT INTO orders
SELECT n, CASE WHEN n % 5 = 0 THEN 'open' ELSE 'paid' END, 990 + n, now() - n * interval '1 minute'
FROM generate_series(1, 200) AS n;
-- A refund that was booked as an order.
INSERT INTO orders VALUES (201, 'paid', -1990, now());
