CREATE DATABASE IF NOT EXISTS shop;
USE shop;

CREATE TABLE customers (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(80) NOT NULL,
  email varchar(120),
  created_at datetime NOT NULL
);

CREATE TABLE orders (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id int NOT NULL,
  status enum ('new', 'paid', 'sent') NOT NULL,
  total decimal(9, 2) NOT NULL,
  note text,
  changed_at datetime NOT NULL
);
