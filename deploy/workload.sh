#!/usr/bin/env bash
# A few small transactions per second against the sample shop.
set -uo pipefail
turn=0
while true; do
  turn=$((turn + 1))
  {
    echo "INSERT INTO customers (name, email, created_at) VALUES (concat('Customer ', $turn), NULL, now());"
    echo "INSERT INTO orders (customer_id, status, total, changed_at)
            SELECT max(id), 'new', round(rand() * 500, 2), now() FROM customers;"
    echo "UPDATE orders SET status = 'paid', changed_at = now() WHERE status = 'new' ORDER BY id LIMIT 1;"
    if ((turn % 5 == 0)); then
      echo "UPDATE customers SET email = concat('customer', id, '@example.com') WHERE email IS NULL;"
    fi
    if ((turn % 10 == 0)); then echo "DELETE FROM orders WHERE status = 'paid' ORDER BY id LIMIT 3;"; fi
  } | mariadb --host=mariadb --user=workload --password="$WORKLOAD_PASSWORD" shop || echo "turn $turn failed" >&2
  sleep 0.5
done
