// SPDX-License-Identifier: BSD-2-Clause
const http = require('http');

const url = `http://127.0.0.1:${process.argv[2]}/`;
// PAGE
setTimeout(() => console.log('ready'), 100);
setInterval(() => {}, 1000000);
