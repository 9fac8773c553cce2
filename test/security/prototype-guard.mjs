// Loaded into every process of the security suite before anything else: tells at the end whether the prototypes that all
// objects share are as they were.
const prototypes = [Object, Array, Function, String, Number, Map, Promise].map(({ prototype }) => prototype);
const describe = () => JSON.stringify(prototypes.map((prototype) => Reflect.ownKeys(prototype).map(String)));
const before = describe();

process.on('exit', () => {
  const isSame =
    describe() === before &&
    prototypes.every(
      (prototype) => Object.getPrototypeOf(prototype) === (prototype === Object.prototype ? null : Object.prototype),
    );
  process.stderr.write(
    `{"time":"","level":"guard","name":"guard","msg":"prototypes ${isSame ? 'as before' : 'POLLUTED'}"}\n`,
  );
});
