import { describe, expect, it } from 'vitest';
import { parseMariadbUrl } from '../src/index.js';

describe('a MariaDB URL', () => {
  it('gives host, port, user, password and database', () => {
    expect(parseMariadbUrl('mariadb://me:p%40ss%2F@db.example:3307/my%20shop')).toMatchObject({
      host: 'db.example',
      port: 3307,
      user: 'me',
      password: 'p@ss/',
      database: 'my shop',
    });
  });

  it('needs neither port nor database', () => {
    const config = parseMariadbUrl('mariadb://me@[::1]');
    expect(config).toMatchObject({ host: '::1', port: 3306, user: 'me', password: '' });
    expect(config).not.toHaveProperty('database');
  });

  it.each(['postgres://me:secret@db/', 'nonsense with secret', 'mariadb:///db'])(
    'of another form is refused without repeating it: %s',
    (url) => {
      expect(() => parseMariadbUrl(url)).toThrow(
        new TypeError('not a MariaDB URL: expected mariadb://user:password@host:port/database'),
      );
    },
  );
});
