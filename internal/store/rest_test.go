package store

var enrolPromises, nodePromises, sessionPromises, policyPromises, evidencePromises, batchPromises []promise
